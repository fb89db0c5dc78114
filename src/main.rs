//! The binary: reads the command line and the settings, starts logging and the runtime, and runs the command.

use std::process::ExitCode;
use std::time::Duration;

use undercroft::presentation::cli::{self, Cli, Exit, logging};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The longest wait for tasks that are still running when the command has ended.
const SHUTDOWN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = match Cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let settings = match cli.settings() {
        Ok(settings) => settings,
        Err(error) => return cli::report_error(&error, Exit::Usage).into(),
    };
    let log = logging::start(&settings.log);
    // every second task is one that other threads have woken: a request whose database has answered
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().enable_all().global_queue_interval(2).build() {
            Ok(runtime) => runtime,
            Err(error) => return cli::report_error(&error, Exit::Failure).into(),
        };
    let result = runtime.block_on(cli.command.unwrap_or_default().run(settings));
    // the database is closed when the last task is dropped; what takes longer ends with the process
    runtime.shutdown_timeout(SHUTDOWN);
    drop(log);
    match result {
        Ok(()) => Exit::Success.into(),
        Err(error) if error.is_closed_pipe() => Exit::Success.into(),
        Err(error) => cli::report_error(&error, error.exit()).into(),
    }
}
