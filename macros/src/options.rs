//! What stands in an attribute's parentheses: `name = value`, separated by commas.

use std::collections::BTreeMap;

use proc_macro::{TokenStream, TokenTree};

use crate::complaint::Complaint;

pub(crate) struct Options(BTreeMap<String, TokenStream>);

impl Options {
    pub(crate) fn parse(tokens: TokenStream, known: &[&str]) -> Result<Self, Complaint> {
        let mut options = BTreeMap::new();
        let mut tokens = tokens.into_iter();
        while let Some(name) = tokens.next() {
            let text = name.to_string();
            if !known.contains(&text.as_str()) {
                let known = known.join("`, `");
                let complaint = format!("unknown option `{text}`; there is `{known}`");
                return Err(Complaint::new(name.span(), complaint));
            }
            let equals = tokens.next();
            if !matches!(&equals, Some(TokenTree::Punct(punct)) if punct.as_char() == '=') {
                let complaint = format!("a value is missing: `{text} = ...`");
                return Err(Complaint::new(name.span(), complaint));
            }
            let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
            let value: TokenStream = tokens.by_ref().take_while(|token| !is_comma(token)).collect();
            if value.is_empty() {
                let complaint = format!("a value is missing: `{text} = ...`");
                return Err(Complaint::new(name.span(), complaint));
            }
            if options.insert(text.clone(), value).is_some() {
                return Err(Complaint::new(name.span(), format!("`{text}` stands here twice")));
            }
        }
        Ok(Self(options))
    }

    /// An expression that makes the runtime's builder.
    pub(crate) fn builder(&self) -> String {
        let builder = self.0.get("builder").map_or_else(
            || "::annulus::Builder::new()".to_owned(),
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
