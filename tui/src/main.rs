//! The program `bellwether`.

fn main() -> std::process::ExitCode {
    bellwether_tui::run(std::env::args_os())
}
