//! The binary: reads the command line and the settings, starts logging and the runtime, and runs the command.

use std::process::ExitCode;

use undercroft::{
    presentation::cli::{self, Cli, Exit, logging},
    settings,
};

fn main() -> ExitCode {
    let Cli { options, command } = match Cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let settings = match settings::load(options.config.as_deref(), settings::environment(), &options.flags())
    {
        Ok(settings) => settings,
        Err(error) => return cli::report_error(&error, Exit::Usage).into(),
    };
    logging::start(&settings.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::report_error(&error, Exit::Failure).into(),
    };
    let result = runtime.block_on(command.unwrap_or_default().run(settings));
    // blocking threads end with the process
    runtime.shutdown_background();
    match result {
        Ok(()) => Exit::Success.into(),
        Err(error) if error.is_closed_pipe() => Exit::Success.into(),
        Err(error) => cli::report_error(&error, error.exit()).into(),
    }
}
