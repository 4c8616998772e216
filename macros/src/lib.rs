//! The attributes `#[annulus::main]` and `#[annulus::test]`, which turn an `async fn` into a
//! function that runs it on a runtime. They are documented in `annulus`, with examples.
//!
//! - `function` parses the `async fn`.
//! - `options` parses the attribute's arguments.
//! - `compile_error` is an error message of the compiler, at the tokens that caused it.

mod compile_error;
mod function;
mod options;

use proc_macro::TokenStream;

use function::Function;
use options::Options;

/// Runs an `async fn main` on a runtime; see `annulus::main`.
#[proc_macro_attribute]
pub fn main(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(options, function, &["builder", "ctrl_c", "crate"], "__run_main", "")
}

/// Runs an `async fn` as a test; see `annulus::test`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    let known = ["builder", "start_paused", "crate"];
    expand(options, function, &known, "__run_test", "#[::core::prelude::v1::test]")
}

fn expand(
    options: TokenStream,
    function: TokenStream,
    known: &[&str],
    run: &str,
    attribute: &str,
) -> TokenStream {
    let parsed = Options::parse(options, known)
        .and_then(|options| Ok((options, Function::parse(function)?)));
    match parsed {
        Ok((options, function)) => {
            let run = format!("{}::{run}", options.path());
            function.into_sync(&run, &options.builder(), attribute)
        }
        Err(error) => error.into_tokens(),
    }
}
