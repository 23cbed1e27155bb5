//! `banyan-origin`: a content server. Everything is in the library.

fn main() -> std::process::ExitCode {
    banyan_origin::run()
}
