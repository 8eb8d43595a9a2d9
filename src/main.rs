//! The program `portico`.
use std::process::ExitCode;

use clap::Parser;
use portico::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    match cli::main(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("portico: {message}");
            ExitCode::FAILURE
        }
    }
}
