//! A compile error at a place in the source.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// A message and its position.
pub(crate) struct CompileError {
    at: Span,
    text: String,
}

impl CompileError {
    pub(crate) fn new(at: Span, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }

    /// Returns `compile_error! { "..." }` at the position.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let text = TokenTree::from(Literal::string(&self.text));
        let tokens = [
            TokenTree::from(Ident::new("compile_error", self.at)),
            Punct::new('!', Spacing::Alone).into(),
            Group::new(Delimiter::Brace, text.into()).into(),
        ];
        let spanned = tokens.into_iter().map(|mut token| {
            token.set_span(self.at);
            token
        });
        spanned.collect()
    }
}
