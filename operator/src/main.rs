//! `banyan-operator`: reconciles ContentServers and StreamTopologies.

fn main() -> std::process::ExitCode {
    banyan_operator::process::main()
}
