//! The `convoke` command.

fn main() -> std::process::ExitCode {
    convoke::cli::main()
}
