//! Finds every path that a file mentions, in imports, expressions, types and (roughly) the tokens of macros, and every
//! `unsafe`.

use crate::source::{Source, code_only};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// A path as the file means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    /// Of this crate, from its root; a last `*` is a glob. Empty: the root itself, under another name.
    Inside(Vec<String>),
    /// Of another crate, or of something that is in scope.
    Outside(Vec<String>),
}

/// What a file says.
#[derive(Default)]
pub(crate) struct Mentions {
    /// Each path, and whether only tests see it.
    pub(crate) paths: Vec<(Mention, bool)>,
    /// How often `unsafe` is said.
    pub(crate) unsafe_count: usize,
    /// Functions with more parameters than clippy.toml allows; those with a foreign ABI have no choice.
    pub(crate) crowded: Vec<String>,
    /// Modules that are declared for tests only, from the crate's root.
    pub(crate) test_modules: Vec<Vec<String>>,
    /// Lint attributes that name `unsafe_code`: their text, with `!` in front of inner ones.
    pub(crate) unsafe_lints: Vec<String>,
}

const MAX_PARAMETERS: usize = 6;

/// Collects what `source` says. `is_test`: the whole file is for tests only.
pub(crate) fn collect(source: &Source, is_test: bool) -> Result<Mentions, syn::Error> {
    let file = syn::parse_file(&source.text)?;
    let mut collector = Collector { module: source.module(), is_test, mentions: Mentions::default() };
    collector.visit_file(&file);
    Ok(collector.mentions)
}

struct Collector {
    module: Vec<String>,
    is_test: bool,
    mentions: Mentions,
}

impl Collector {
    fn mention(&mut self, segments: &[String]) {
        let mention = match segments.first().map(String::as_str) {
            Some("crate") => Mention::Inside(segments[1..].to_vec()),
            Some("self" | "super") => self.relative(segments),
            _ => Mention::Outside(segments.to_vec()),
        };
        self.mentions.paths.push((mention, self.is_test));
    }

    /// Resolves a path that starts with `self` or `super`.
    fn relative(&self, segments: &[String]) -> Mention {
        let mut path = self.module.clone();
        let is_upward = |segment: &&String| *segment == "self" || *segment == "super";
        let upward: Vec<_> = segments.iter().take_while(is_upward).collect();
        for _ in upward.iter().filter(|segment| **segment == "super") {
            path.pop();
        }
        path.extend_from_slice(&segments[upward.len()..]);
        Mention::Inside(path)
    }

    fn imports(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.imports(&path.tree, &with(path.ident.to_string())),
            // `{self}` is the prefix itself.
            UseTree::Name(name) if name.ident == "self" && !prefix.is_empty() => {
                self.mention(prefix);
            }
            UseTree::Rename(name) if name.ident == "self" && !prefix.is_empty() => {
                self.mention(prefix);
            }
            UseTree::Name(name) => self.mention(&with(name.ident.to_string())),
            UseTree::Rename(name) => self.mention(&with(name.ident.to_string())),
            UseTree::Glob(_) => self.mention(&with("*".to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.imports(tree, prefix)),
        }
    }

    /// Reads the tokens of a macro, roughly: whatever follows `crate`, `self` or `super` with `::` between.
    fn macro_tokens(&mut self, tokens: &str) {
        let code = code_only(tokens).replace("::", " :: ");
        let is_punctuation = |character: char| !character.is_alphanumeric() && character != '_' && character != ':';
        let spaced: String =
            code.chars().map(|c| if is_punctuation(c) && c != '*' && c != '{' { ' ' } else { c }).collect();
        let words: Vec<_> = spaced.split_whitespace().collect();
        self.mentions.unsafe_count += words.iter().filter(|word| **word == "unsafe").count();
        for (at, word) in words.iter().enumerate() {
            let starts = matches!(*word, "crate" | "self" | "super") && (at == 0 || words[at - 1] != "::");
            if starts && words.get(at + 1) == Some(&"::") {
                self.mention(&path_from(&words[at..]));
            }
        }
    }

    fn lint(&mut self, attribute: &Attribute) {
        let syn::Meta::List(list) = &attribute.meta else {
            return;
        };
        let tokens = list.tokens.to_string();
        if tokens.contains("unsafe_code") {
            let name = list.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let mark = if matches!(attribute.style, syn::AttrStyle::Inner(_)) { "!" } else { "" };
            self.mentions.unsafe_lints.push(format!("{mark}{name}({tokens})"));
        }
    }
}

/// Returns the path that `words` start with; a group becomes a glob, which no rule lets pass at the root.
fn path_from(words: &[&str]) -> Vec<String> {
    let mut path = vec![words[0].to_owned()];
    for pair in words[1..].chunks(2) {
        match pair {
            ["::", "{" | "*"] => {
                path.push("*".to_owned());
                break;
            }
            ["::", word] => path.push((*word).to_owned()),
            _ => break,
        }
    }
    path
}

/// Tells whether the item is compiled for tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            let tokens = list.tokens.to_string();
            list.path.is_ident("cfg") && (tokens == "test" || tokens.replace(' ', "").starts_with("all(test,"))
        }
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        let outside = self.is_test;
        self.is_test |= is_for_tests(attributes(item));
        visit::visit_item(self, item);
        self.is_test = outside;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        if self.is_test && item.content.is_none() {
            self.mentions.test_modules.push(self.module.clone());
        }
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.imports(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        if item.ident == "self" {
            self.mention(&["crate".to_owned()]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.mention(&segments);
        }
        visit::visit_path(self, path);
    }

    /// A visibility names a module and imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.macro_tokens(&item.tokens.to_string());
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.inputs.len() > MAX_PARAMETERS && signature.abi.is_none() {
            self.mentions.crowded.push(signature.ident.to_string());
        }
        visit::visit_signature(self, signature);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("unsafe") {
            self.mentions.unsafe_count += 1;
        }
        self.lint(attribute);
    }

    fn visit_safety(&mut self, safety: &'ast syn::Safety) {
        self.mentions.unsafe_count += usize::from(matches!(safety, syn::Safety::Unsafe(_)));
    }

    fn visit_expr_unsafe(&mut self, expression: &'ast syn::ExprUnsafe) {
        self.mentions.unsafe_count += 1;
        visit::visit_expr_unsafe(self, expression);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.mentions.unsafe_count += usize::from(item.unsafety.is_some());
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.mentions.unsafe_count += usize::from(item.unsafety.is_some());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.mentions.unsafe_count += 1;
        visit::visit_item_foreign_mod(self, item);
    }
}
