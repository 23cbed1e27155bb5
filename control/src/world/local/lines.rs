//! Lines from a pipe, whatever bytes come: invalid text is replaced, endless lines are cut.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Hands each line to `sink` until the pipe ends.
pub(super) async fn forward(pipe: Option<impl AsyncRead + Unpin>, sink: impl Fn(&str)) {
    let Some(mut pipe) = pipe else {
        return;
    };
    let mut held = BytesMut::with_capacity(LONGEST);
    loop {
        match pipe.read_buf(&mut held).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line = held.split_to(end + 1);
            emit(&line[..end], &sink);
        }
        if held.len() >= LONGEST {
            emit(&held.split(), &sink);
        }
        held.reserve(LONGEST);
    }
    if !held.is_empty() {
        emit(&held, &sink);
    }
}

fn emit(line: &[u8], sink: &impl Fn(&str)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    sink(&String::from_utf8_lossy(line));
}

const LONGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<String> {
        let seen = Mutex::new(Vec::new());
        forward(Some(bytes), |line| {
            seen.lock().unwrap().push(line.to_owned())
        })
        .await;
        seen.into_inner().unwrap()
    }

    #[tokio::test]
    async fn lines_are_split_and_the_last_needs_no_end() {
        assert_eq!(lines(b"one\r\n\ntwo").await, ["one", "", "two"]);
        assert_eq!(lines(b"\xff\n").await, ["\u{fffd}"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_not_held() {
        let text = vec![b'x'; LONGEST * 3];
        let parts = lines(&text).await;
        assert_eq!(parts.iter().map(String::len).sum::<usize>(), text.len());
        assert!(parts.len() >= 2, "{}", parts.len());
    }
}
