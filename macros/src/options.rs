//! The options of an attribute: `name = value`, separated by commas.

use std::collections::BTreeMap;

use proc_macro::{Spacing, Span, TokenStream, TokenTree};

use crate::compile_error::CompileError;

pub(crate) struct Options(BTreeMap<String, TokenStream>);

impl Options {
    pub(crate) fn parse(tokens: TokenStream, known: &[&str]) -> Result<Self, CompileError> {
        let mut options = BTreeMap::new();
        let mut tokens = tokens.into_iter();
        while let Some(name) = tokens.next() {
            let text = name.to_string();
            if !known.contains(&text.as_str()) {
                let message = format!("unknown option `{text}`: expected {}", listed(known));
                return Err(CompileError::new(name.span(), message));
            }
            let equals = tokens.next();
            let has_equals = equals.as_ref().is_some_and(|token| is(token, '='));
            let value = if has_equals { value(&mut tokens) } else { TokenStream::new() };
            if value.is_empty() {
                let message = format!("option `{text}` needs a value: `{text} = ...`");
                return Err(CompileError::new(name.span(), message));
            }
            if options.insert(text.clone(), value).is_some() {
                return Err(CompileError::new(
                    name.span(),
                    format!("the option `{text}` is given twice"),
                ));
            }
        }
        Ok(Self(options))
    }

    /// The path of the `annulus` crate, from the option `crate`.
    pub(crate) fn path(&self) -> String {
        let Some(path) = self.0.get("crate") else { return "::annulus".to_owned() };
        // A string, as in other crates' attributes, or a path.
        path.to_string().trim_matches('"').to_owned()
    }

    /// Returns the expression of the number of shards: an `Option`, which is `None` for one on each
    /// core. Without the option `shards` returns `None`.
    pub(crate) fn shards(&self) -> Result<Option<String>, CompileError> {
        let Some(value) = self.0.get("shards") else { return Ok(None) };
        let place = place(value);
        match value.to_string().as_str() {
            "\"cores\"" => Ok(Some("::core::option::Option::None".to_owned())),
            text if text.starts_with('"') => {
                let message = "`shards` is \"cores\", for one shard on each core, or their number";
                Err(CompileError::new(place, message))
            }
            "0" => Err(CompileError::new(place, "`shards` of zero: there is at least one shard")),
            count => Ok(Some(format!("::core::option::Option::Some({count})"))),
        }
    }

    /// Returns the expression of whether signals request the end of the shards.
    pub(crate) fn signals(&self) -> String {
        self.0.get("signals").map_or_else(|| "false".to_owned(), |value| format!("({value})"))
    }

    /// Refuses an option that means nothing beside the others.
    pub(crate) fn refuse(&self, option: &str, message: &str) -> Result<(), CompileError> {
        match self.0.get(option) {
            Some(value) => Err(CompileError::new(place(value), message)),
            None => Ok(()),
        }
    }

    /// Returns the call that sets the ring of a `Builder`, with the option `ring`.
    fn ring(&self) -> Result<String, CompileError> {
        let Some(value) = self.0.get("ring") else { return Ok(String::new()) };
        let kind = match value.to_string().as_str() {
            "\"auto\"" => "Auto",
            "\"kernel\"" => "Kernel",
            "\"portable\"" => "Portable",
            _ => {
                let message = "`ring` is \"auto\", \"kernel\" or \"portable\"";
                return Err(CompileError::new(place(value), message));
            }
        };
        Ok(format!(".ring({}::RingKind::{kind})", self.path()))
    }

    /// Returns the expression that makes the `Builder`.
    pub(crate) fn builder(&self) -> Result<String, CompileError> {
        let builder = self.0.get("builder").map_or_else(
            || format!("{}::Builder::new()", self.path()),
            |builder| format!("({builder})"),
        );
        let setting = |option, method: &str| {
            self.0.get(option).map_or_else(String::new, |value| format!(".{method}({value})"))
        };
        let paused = setting("start_paused", "start_paused");
        let ctrl_c = setting("ctrl_c", "cancel_on_ctrl_c");
        Ok(format!("{builder}{}{paused}{ctrl_c}", self.ring()?))
    }
}

/// Where a value is in the source.
fn place(value: &TokenStream) -> Span {
    value.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span())
}

fn is(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// "`a`, `b` or `c`".
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
        None => String::new(),
    }
}

/// The tokens up to the comma that ends the value. A comma inside of brackets belongs to the value.
/// Angle brackets are not grouped in a token stream: a `<` opens a bracket at the beginning or
/// inside of a path (`<T as Trait<A, B>>::f()`, `f::<A, B>()`), and inside of a bracket; elsewhere
/// it compares.
fn value(tokens: &mut impl Iterator<Item = TokenTree>) -> TokenStream {
    let (mut value, mut depth) = (Vec::new(), 0_u32);
    for token in tokens {
        let before: Option<&TokenTree> = value.last();
        if is(&token, '<') && (depth > 0 || before.is_none_or(|token| is(token, ':'))) {
            depth += 1;
        } else if is(&token, '>') && !before.is_some_and(is_joined) {
            depth = depth.saturating_sub(1);
        } else if is(&token, ',') && depth == 0 {
            break;
        }
        value.push(token);
    }
    value.into_iter().collect()
}

/// Whether a `>` after this token is the end of an arrow.
fn is_joined(before: &TokenTree) -> bool {
    matches!(before, TokenTree::Punct(punct)
        if punct.spacing() == Spacing::Joint && matches!(punct.as_char(), '-' | '='))
}
