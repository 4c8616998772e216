//! A compile error at a place in the source.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// What is wrong, and where.
pub(crate) struct Complaint {
    at: Span,
    text: String,
}

impl Complaint {
    pub(crate) fn new(at: Span, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }

    /// `compile_error! { "..." }` at the place.
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
