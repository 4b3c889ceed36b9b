//! The app's program: everything is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    app::main()
}
