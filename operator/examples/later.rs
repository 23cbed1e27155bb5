//! An operator as a later version would be: the same code, but its builders give every member's pod one label more.
//! Tests upgrade to it, and see that no pod is touched.

fn main() -> std::process::ExitCode {
    banyan_operator::process::main_with(&[("banyan.media/later", "yes")])
}
