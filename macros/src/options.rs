//! The options of an attribute: `name = value`, separated by commas.

use std::collections::BTreeMap;

use proc_macro::{Spacing, TokenStream, TokenTree};

use crate::complaint::Complaint;

pub(crate) struct Options(BTreeMap<String, TokenStream>);

impl Options {
    pub(crate) fn parse(tokens: TokenStream, known: &[&str]) -> Result<Self, Complaint> {
        let mut options = BTreeMap::new();
        let mut tokens = tokens.into_iter();
        while let Some(name) = tokens.next() {
            let text = name.to_string();
            if !known.contains(&text.as_str()) {
                let complaint = format!("unknown option `{text}`: expected {}", listed(known));
                return Err(Complaint::new(name.span(), complaint));
            }
            let equals = tokens.next();
            if !equals.as_ref().is_some_and(|token| is(token, '=')) {
                let complaint = format!("a value is missing: `{text} = ...`");
                return Err(Complaint::new(name.span(), complaint));
            }
            let value = value(&mut tokens);
            if value.is_empty() {
                let complaint = format!("a value is missing: `{text} = ...`");
                return Err(Complaint::new(name.span(), complaint));
            }
            if options.insert(text.clone(), value).is_some() {
                return Err(Complaint::new(
                    name.span(),
                    format!("the option `{text}` is given twice"),
                ));
            }
        }
        Ok(Self(options))
    }

    /// The path of the crate, as a user of the attribute has named it.
    pub(crate) fn path(&self) -> String {
        let Some(path) = self.0.get("crate") else { return "::annulus".to_owned() };
        // As a string, as other crates have it, or as a path.
        path.to_string().trim_matches('"').to_owned()
    }

    /// An expression that makes the runtime's builder.
    pub(crate) fn builder(&self) -> String {
        let builder = self.0.get("builder").map_or_else(
            || format!("{}::Builder::new()", self.path()),
            |builder| format!("({builder})"),
        );
        let setting = |option, method: &str| {
            self.0.get(option).map_or_else(String::new, |value| format!(".{method}({value})"))
        };
        let paused = setting("start_paused", "start_paused");
        let ctrl_c = setting("ctrl_c", "cancel_on_ctrl_c");
        format!("{builder}{paused}{ctrl_c}")
    }
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

/// The tokens up to the comma that ends the value. Commas in brackets of any kind belong to it;
/// those in angle brackets are in the token stream as such. A `<` opens a bracket where a path
/// begins or goes on (`<T as Trait<A, B>>::f()`, `f::<A, B>()`), and in one; elsewhere it compares.
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

/// Whether a `>` behind this is the end of an arrow.
fn is_joined(before: &TokenTree) -> bool {
    matches!(before, TokenTree::Punct(punct)
        if punct.spacing() == Spacing::Joint && matches!(punct.as_char(), '-' | '='))
}
