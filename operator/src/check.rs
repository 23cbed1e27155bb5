//! `banyan-operator check`: asks addresses until all answer, for `helm test` and whoever has no shell in an image.
//!
//! Plain HTTP/1.1 over a socket, because nothing more is needed: a status line says it all.

use std::process::ExitCode;
use std::time::Duration;

use banyan_api::quantity::TimeSpan;
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Asks addresses until all answer.
#[derive(Debug, Parser)]
#[command(name = "banyan-operator check")]
struct Arguments {
    /// How long to ask, such as 30s
    #[arg(long, default_value = "30s", value_parser = span)]
    within: Duration,
    /// http://HOST:PORT/PATH must answer 200, tcp://HOST:PORT must accept a connection
    #[arg(required = true, value_parser = target)]
    targets: Vec<Target>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// As it was written.
    url: String,
    /// `HOST:PORT`.
    authority: String,
    /// Path of an HTTP request; absent when a connection is enough.
    path: Option<String>,
}

/// Runs `banyan-operator check …`; `words` are the arguments after `check`.
pub fn main(words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let name = std::ffi::OsString::from("banyan-operator check");
    let arguments = match Arguments::try_parse_from(std::iter::once(name).chain(words)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let bad = error.use_stderr();
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if bad { 64 } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let asked = match runtime {
        Ok(runtime) => runtime.block_on(ask_all(&arguments)),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn ask_all(arguments: &Arguments) -> Result<(), String> {
    let deadline = Instant::now() + arguments.within;
    for target in &arguments.targets {
        loop {
            let answer = match timeout(ONE_ANSWER, ask(target)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer in {} s", ONE_ANSWER.as_secs())),
            };
            match answer {
                Ok(()) => break,
                Err(why) if Instant::now() >= deadline => {
                    let within = arguments.within.as_secs();
                    return Err(format!("{} within {within} s: {why}", target.url));
                }
                Err(_) => sleep(BETWEEN).await,
            }
        }
        println!("{} answers", target.url);
    }
    Ok(())
}

async fn ask(target: &Target) -> Result<(), String> {
    let connected = TcpStream::connect(&target.authority).await;
    let mut socket = connected.map_err(|error| error.to_string())?;
    let Some(path) = &target.path else {
        return Ok(());
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        target.authority
    );
    let sent = socket.write_all(request.as_bytes()).await;
    sent.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut limited = socket.take(MOST_BYTES);
    let read = limited.read_to_end(&mut answer).await;
    read.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default().trim();
        Err(format!("{line} {body}"))
    }
}

fn target(url: &str) -> Result<Target, String> {
    let refused = || format!("{url:?}; accepted are http://HOST:PORT/PATH and tcp://HOST:PORT");
    let (scheme, rest) = url.split_once("://").ok_or_else(refused)?;
    let (authority, path) = match (scheme, rest.split_once('/')) {
        ("http", Some((authority, path))) => (authority, Some(format!("/{path}"))),
        ("http", None) => (rest, Some("/".to_owned())),
        ("tcp", None) => (rest, None),
        _ => return Err(refused()),
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {}
        _ => return Err(refused()),
    }
    Ok(Target {
        url: url.to_owned(),
        authority: authority.to_owned(),
        path,
    })
}

fn span(text: &str) -> Result<Duration, String> {
    let millis = TimeSpan::from(text).millis();
    millis
        .map(Duration::from_millis)
        .map_err(|error| error.to_string())
}

/// One answer may take this long: names resolve late while a Service is new.
const ONE_ANSWER: Duration = Duration::from_secs(5);
/// Time between two questions.
const BETWEEN: Duration = Duration::from_millis(500);
/// Of an answer, only the head and a sentence are of interest.
const MOST_BYTES: u64 = 16 * 1024;

#[cfg(test)]
mod tests;
