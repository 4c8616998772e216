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

use compile_error::CompileError;
use function::{Arguments, Function};
use options::Options;

/// Runs an `async fn main` on a runtime, or on shards; see `annulus::main`.
#[proc_macro_attribute]
pub fn main(options: TokenStream, function: TokenStream) -> TokenStream {
    expand_main(options, function).unwrap_or_else(CompileError::into_tokens)
}

/// Runs an `async fn` as a test; see `annulus::test`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    expand_test(options, function).unwrap_or_else(CompileError::into_tokens)
}

fn expand_main(options: TokenStream, function: TokenStream) -> Result<TokenStream, CompileError> {
    let options =
        Options::parse(options, &["builder", "ring", "ctrl_c", "shards", "signals", "crate"])?;
    let (path, builder) = (options.path(), options.builder()?);
    let Some(count) = options.shards()? else {
        options.refuse(
            "signals",
            "`signals` needs `shards`: it is for the `Shutdown` of the shards",
        )?;
        let function = Function::parse(function, Arguments::None)?;
        return Ok(
            function.into_sync("", |main| format!("{path}::__run_main({builder}, {main}())"))
        );
    };
    let function = Function::parse(function, Arguments::Shard)?;
    let takes_shard = function.has_arguments();
    Ok(function.into_sync("", |main| {
        let main = if takes_shard { main.to_owned() } else { format!("async |_| {main}().await") };
        let signals = options.signals();
        format!("{path}::__run_main_on_shards({count}, {signals}, |_| {builder}, {main})")
    }))
}

fn expand_test(options: TokenStream, function: TokenStream) -> Result<TokenStream, CompileError> {
    let options = Options::parse(options, &["builder", "ring", "start_paused", "crate"])?;
    let (path, builder) = (options.path(), options.builder()?);
    let function = Function::parse(function, Arguments::None)?;
    let attribute = "#[::core::prelude::v1::test]";
    Ok(function.into_sync(attribute, |test| format!("{path}::__run_test({builder}, {test}())")))
}
