//! Just enough strict XML to read a TwiML document: elements, attributes, text, the five named
//! entities, character references, comments, CDATA and the declaration. No DTD, no namespaces.

/// One element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::simulator) struct Node {
    pub(in crate::simulator) name: String,
    pub(in crate::simulator) attrs: Vec<(String, String)>,
    pub(in crate::simulator) children: Vec<Node>,
    /// All character data directly inside, joined.
    pub(in crate::simulator) text: String,
}

impl Node {
    pub(in crate::simulator) fn attr(&self, name: &str) -> Option<&str> {
        self.attrs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Elements deeper than this are no TwiML.
const DEPTH_MAX: usize = 12;

/// The root element of a document.
///
/// # Errors
/// One sentence saying what is not well-formed, with the byte where it was noticed.
pub(in crate::simulator) fn parse(text: &str) -> Result<Node, String> {
    let mut reader = Reader {
        rest: text.trim_start_matches('\u{feff}'),
        whole: text.len(),
    };
    reader.misc(true)?;
    let root = reader.element(0)?;
    reader.misc(false)?;
    if reader.rest.is_empty() {
        Ok(root)
    } else {
        reader.fail("content after the root element")
    }
}

struct Reader<'a> {
    rest: &'a str,
    whole: usize,
}

impl<'a> Reader<'a> {
    fn fail<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{what} at byte {}", self.whole - self.rest.len()))
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn until(&mut self, token: &str) -> Result<&'a str, String> {
        match self.rest.split_once(token) {
            Some((before, after)) => {
                self.rest = after;
                Ok(before)
            }
            None => self.fail(&format!("{token} is missing")),
        }
    }

    fn space(&mut self) -> bool {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let moved = trimmed.len() != self.rest.len();
        self.rest = trimmed;
        moved
    }

    /// White space, comments and, at the start, the declaration.
    fn misc(&mut self, mut declaration: bool) -> Result<(), String> {
        loop {
            if declaration && self.rest.starts_with("<?xml") {
                self.until("?>")?;
            } else if self.eat("<!--") {
                self.until("-->")?;
            } else if !self.space() {
                return Ok(());
            }
            declaration = false;
        }
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or(("", self.rest));
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return self.fail("a name was expected");
        }
        self.rest = rest;
        Ok(name)
    }

    fn element(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return self.fail("elements nested too deep");
        }
        if !self.eat("<") {
            return self.fail("an element was expected");
        }
        let mut node = Node {
            name: self.name()?.to_owned(),
            ..Node::default()
        };
        loop {
            let spaced = self.space();
            if self.eat("/>") {
                return Ok(node);
            }
            if self.eat(">") {
                break;
            }
            if !spaced {
                return self.fail("white space was expected before an attribute");
            }
            let attr = self.attribute()?;
            if node.attr(&attr.0).is_some() {
                return self.fail(&format!("attribute {} twice", attr.0));
            }
            node.attrs.push(attr);
        }
        self.content(&mut node, depth)?;
        Ok(node)
    }

    fn attribute(&mut self) -> Result<(String, String), String> {
        let key = self.name()?.to_owned();
        self.space();
        if !self.eat("=") {
            return self.fail("= was expected");
        }
        self.space();
        let quote = if self.eat("\"") {
            "\""
        } else if self.eat("'") {
            "'"
        } else {
            return self.fail("a quoted value was expected");
        };
        let raw = self.until(quote)?;
        if raw.contains('<') {
            return self.fail("< inside an attribute value");
        }
        Ok((key, self.unescape(raw)?))
    }

    fn content(&mut self, node: &mut Node, depth: usize) -> Result<(), String> {
        loop {
            if self.eat("</") {
                let name = self.name()?;
                self.space();
                if name != node.name || !self.eat(">") {
                    return self.fail(&format!("</{}> was expected", node.name));
                }
                return Ok(());
            }
            if self.eat("<!--") {
                self.until("-->")?;
            } else if self.eat("<![CDATA[") {
                node.text.push_str(self.until("]]>")?);
            } else if self.rest.starts_with("<?") {
                self.until("?>")?;
            } else if self.rest.starts_with('<') {
                node.children.push(self.element(depth + 1)?);
            } else {
                let end = self.rest.find('<');
                let Some((raw, rest)) = end.and_then(|end| self.rest.split_at_checked(end)) else {
                    return self.fail(&format!("</{}> is missing", node.name));
                };
                self.rest = rest;
                node.text.push_str(&self.unescape(raw)?);
            }
        }
    }

    fn unescape(&self, raw: &str) -> Result<String, String> {
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('&') {
            out.push_str(before);
            let Some((entity, tail)) = after.split_once(';') else {
                return self.fail("& that is no entity");
            };
            out.push(match entity {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => match char_reference(entity) {
                    Some(c) => c,
                    None => return self.fail(&format!("unknown entity &{entity};")),
                },
            });
            rest = tail;
        }
        out.push_str(rest);
        match out.chars().find(|c| !allowed(*c)) {
            Some(c) => self.fail(&format!("character U+{:04X} is not allowed", u32::from(c))),
            None => Ok(out),
        }
    }
}

fn char_reference(entity: &str) -> Option<char> {
    let digits = entity.strip_prefix('#')?;
    let code = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code)
}

/// XML 1.0 `Char`.
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
