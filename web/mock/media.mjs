/**
 * Live HLS for the mock's edges: one encoded loop, repeated for ever by FFmpeg
 * without encoding again. Playlists are FFmpeg's, not ours: the mock tests the
 * page, not the relay.
 */
import { execFile, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const QUIET = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"];

export async function prepare(folder) {
  const loop = join(folder, "loop.mp4");
  await run("ffmpeg", [
    ...QUIET,
    "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=20",
    "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000:duration=20",
    "-map", "0:v", "-map", "0:v", "-map", "1:a",
    "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-sc_threshold", "0",
    "-b:v:0", "2000k", "-b:v:1", "600k", "-filter:v:1", "scale=640:360", "-c:a", "aac", "-b:a", "96k",
    loop,
  ]);
  for (const [name, picture] of [["welcome", "mandelbrot=size=1280x720"], ["lecture", "gradients=size=1280x720:seed=7:nb_colors=3"]]) {
    await mkdir(join(folder, name), { recursive: true });
    await run("ffmpeg", [...QUIET, "-f", "lavfi", "-i", picture, "-frames:v", "1", "-q:v", "4", join(folder, name, "poster.jpg")]);
  }
  return loop;
}

export async function publish(folder, loop) {
  const out = join(folder, "live");
  await mkdir(out, { recursive: true });
  return spawn("ffmpeg", [
    ...QUIET,
    "-re", "-stream_loop", "-1", "-i", loop,
    "-map", "0:v:0", "-map", "0:v:1", "-map", "0:a", "-c", "copy",
    "-f", "hls", "-hls_time", "2", "-hls_list_size", "10", "-hls_segment_type", "fmp4",
    "-hls_flags", "delete_segments+program_date_time+independent_segments", "-hls_delete_threshold", "5",
    "-var_stream_map", "v:0,agroup:aud,name:720p v:1,agroup:aud,name:360p a:0,agroup:aud,default:yes,name:audio",
    "-master_pl_name", "index.m3u8",
    join(out, "%v.m3u8"),
  ], { stdio: ["ignore", "inherit", "inherit"] });
}
