//! Parses an `async fn` as far as is needed to make a function that runs it.

use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::compile_error::CompileError;

pub(crate) struct Function {
    /// Attributes and visibility.
    before: TokenStream,
    /// `fn` and the name.
    head: TokenStream,
    name: String,
    arguments: Group,
    /// From the arguments' end to the body.
    output: TokenStream,
    body: Group,
}

impl Function {
    /// A function without arguments, or with up to `most`.
    pub(crate) fn parse(tokens: TokenStream, most: Arguments) -> Result<Self, CompileError> {
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
        let position = |word: &str| tokens.iter().position(|token| is(token, word));
        let no_function =
            || CompileError::new(Span::call_site(), "this attribute needs an `async fn`");
        let function = position("fn").ok_or_else(no_function)?;
        let Some(asynchronous) = position("async").filter(|&at| at < function) else {
            let message = "this attribute needs an `async fn`: add `async`";
            return Err(CompileError::new(tokens[function].span(), message));
        };
        if asynchronous + 1 < function {
            let message = "this attribute supports nothing between `async` and `fn`";
            return Err(CompileError::new(tokens[asynchronous + 1].span(), message));
        }
        let name = tokens.get(function + 1).map(ToString::to_string).ok_or_else(no_function)?;
        let arguments = most.check(tokens.get(function + 2))?;
        let Some(TokenTree::Group(body)) = tokens.pop() else { return Err(no_function()) };
        let output = tokens.split_off(function + 3).into_iter().collect();
        let head = tokens.drain(function..function + 2).collect();
        tokens.truncate(asynchronous);
        Ok(Self { before: tokens.into_iter().collect(), head, name, arguments, output, body })
    }

    pub(crate) fn has_arguments(&self) -> bool {
        !self.arguments.stream().is_empty()
    }

    /// The function without `async` and without arguments, whose body is the `async fn` and then
    /// the code that `call` makes of its name.
    pub(crate) fn into_sync(
        self,
        attribute: &str,
        call: impl FnOnce(&str) -> String,
    ) -> TokenStream {
        let Self { before, head, name, arguments, output, body } = self;
        let signature = |arguments| {
            let mut tokens = head.clone();
            tokens.extend([TokenTree::from(arguments)]);
            tokens.extend(output.clone());
            tokens
        };
        let mut inner: TokenStream = parsed("async");
        inner.extend(signature(arguments.clone()));
        inner.extend([TokenTree::from(body)]);
        // What is wrong with the type of an argument is reported at the argument.
        let place = arguments.stream().into_iter().next().map(|first| first.span());
        inner.extend(parsed(&call(&name)).into_iter().map(|token| located(token, place)));
        let mut outer = parsed(attribute);
        outer.extend(before);
        outer.extend(signature(Group::new(Delimiter::Parenthesis, TokenStream::new())));
        outer.extend([TokenTree::from(Group::new(Delimiter::Brace, inner))]);
        outer
    }
}

/// The arguments that a function may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    None,
    /// None, or the shard.
    Shard,
}

impl Arguments {
    fn check(self, arguments: Option<&TokenTree>) -> Result<Group, CompileError> {
        let group = match arguments {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => group,
            Some(other) => {
                let message = "this attribute needs a function without generic parameters";
                return Err(CompileError::new(other.span(), message));
            }
            None => {
                let message = "this attribute needs an `async fn`";
                return Err(CompileError::new(Span::call_site(), message));
            }
        };
        let mut tokens = group.stream().into_iter();
        let (surplus, message) = match self {
            Self::None => (tokens.next(), "this attribute needs a function without arguments"),
            Self::Shard => {
                let is_comma = |token: &TokenTree| token.to_string() == ",";
                let second = tokens.skip_while(|token| !is_comma(token)).nth(1);
                (second, "with `shards`, the function has one argument at most: the `Shard`")
            }
        };
        match surplus {
            None => Ok(group.clone()),
            Some(token) => Err(CompileError::new(token.span(), message)),
        }
    }
}

/// The token at another place, if there is one, as far as errors are concerned.
fn located(mut token: TokenTree, place: Option<Span>) -> TokenTree {
    if let Some(place) = place {
        token.set_span(token.span().located_at(place));
    }
    token
}

fn parsed(code: &str) -> TokenStream {
    code.parse().expect("the generated code is valid tokens")
}
