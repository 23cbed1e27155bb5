//! Sound to segments: frames come from the audio process, in order from the asset's start.

use std::io::{self, BufReader, Read};
use std::process::{Child, Command, Stdio};

use banyan_media::Timeline;

use super::{Error, Preparation, cut};
use crate::ffmpeg::audio::{AudioJob, FRAME};
use crate::plan::{AUDIO, Pictures};

/// Prepares all missing audio segments.
pub(super) fn prepare(run: &Preparation) -> Result<(), Error> {
    if run.store.init(AUDIO).is_some() && super::is_complete(&run.plan, &run.store, AUDIO) {
        return Ok(());
    }
    let Some(job) = job(run) else { return Ok(()) };
    let mut child = Worker::spawn(run, &job)?;
    let result = receive(run, &mut child);
    match result {
        Ok(()) => child.finish(),
        Err(Error::Audio(reading)) => Err(child.finish().err().unwrap_or(Error::Audio(reading))),
        Err(other) => Err(other),
    }
}

fn receive(run: &Preparation, child: &mut Worker) -> Result<(), Error> {
    let timeline = &run.plan.timeline;
    let init = child.next()?;
    run.store.renew_init(AUDIO, &init)?;
    for local in 0..timeline.segments {
        let (_, short, long) = timeline.audio_local(local);
        let mut frames = Vec::with_capacity(long as usize);
        for _ in 0..long {
            if run.stop.raised() {
                return Err(Error::Stopped);
            }
            frames.push(child.next()?);
        }
        for (is_long, count) in [(false, short), (true, long)] {
            let wanted = !is_long || long != short;
            if wanted && !run.store.has(AUDIO, local, is_long) {
                let segment = cut::audio(timeline, local, &frames[..count as usize]);
                run.store.put(AUDIO, local, is_long, &segment)?;
                (run.stored)();
            }
        }
    }
    Ok(())
}

fn job(run: &Preparation) -> Option<AudioJob> {
    let plan = &run.plan;
    let audio = plan.audio.as_ref()?;
    let (path, start_ns) = match &plan.pictures {
        Pictures::File { path, probe } => {
            let video = &probe.video;
            let ns = i128::from(video.start) * i128::from(video.time_base.0) * 1_000_000_000
                / i128::from(video.time_base.1.max(1));
            (Some(path.clone()), i64::try_from(ns).unwrap_or(0))
        }
        Pictures::Pattern(_) => (None, 0),
    };
    Some(AudioJob {
        path,
        start_ns,
        sample_rate: audio.sample_rate,
        bitrate: audio.bitrate,
        frames: plan.timeline.audio_frames_needed(),
        fade_at: shortest_loop(&plan.timeline) * FRAME as u64,
    })
}

/// Frames of a loop whose last segment is the short variant.
fn shortest_loop(timeline: &Timeline) -> u64 {
    let (first, short, _) = timeline.audio_local(timeline.segments - 1);
    u64::from(first) + u64::from(short)
}

/// The audio process: killed when dropped, so that none outlives its content.
struct Worker {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn spawn(run: &Preparation, job: &AudioJob) -> Result<Self, Error> {
        let failed =
            |e: io::Error| Error::Audio(format!("{:?} cannot be started: {e}", run.program));
        let mut command = Command::new(&run.program);
        command.arg(SUBCOMMAND).args(arguments(job));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let Some(output) = child.stdout.take() else {
            return Err(Error::Audio("it has no output".to_owned()));
        };
        Ok(Self {
            child,
            output: BufReader::with_capacity(1 << 16, output),
        })
    }

    fn next(&mut self) -> Result<Vec<u8>, Error> {
        let cut = |e: io::Error| Error::Audio(format!("its output ended early: {e}"));
        let mut length = [0; 4];
        self.output.read_exact(&mut length).map_err(cut)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME {
            return Err(Error::Audio(format!(
                "a frame of {length} bytes; at most {MAX_FRAME} is accepted"
            )));
        }
        let mut data = vec![0; length];
        self.output.read_exact(&mut data).map_err(cut)?;
        Ok(data)
    }

    /// Waits for the end; its last words become the error.
    fn finish(mut self) -> Result<(), Error> {
        let mut words = String::new();
        // Anything the process still writes is not ours any more; closing lets it end.
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = io::Read::by_ref(&mut stderr)
                .take(4096)
                .read_to_string(&mut words);
        }
        let status = self.child.wait().map_err(|e| Error::Audio(e.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let words = words.trim();
        Err(Error::Audio(if words.is_empty() {
            status.to_string()
        } else {
            words.to_owned()
        }))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(job: &AudioJob) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = Vec::new();
    if let Some(path) = &job.path {
        arguments.extend(["--path".into(), path.into()]);
    }
    for (name, value) in [
        ("--start-ns", job.start_ns.to_string()),
        ("--sample-rate", job.sample_rate.to_string()),
        ("--bitrate", job.bitrate.to_string()),
        ("--frames", job.frames.to_string()),
        ("--fade-at", job.fade_at.to_string()),
    ] {
        arguments.push(format!("{name}={value}").into());
    }
    arguments
}

/// The hidden subcommand of `banyan-origin`.
pub(crate) const SUBCOMMAND: &str = "encode-audio";
const MAX_FRAME: usize = 1 << 20;
