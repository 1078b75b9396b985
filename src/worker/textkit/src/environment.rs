//! The template environment: what transformers gives a chat template, and nothing else.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::{json, time};

const MAX_RECURSION: usize = 64;

/// Carried inside the error of a template that called raise_exception().
#[derive(Debug)]
pub struct Raised(pub String);

impl fmt::Display for Raised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: String) -> Result<Value, Error> {
    let error = Error::new(ErrorKind::InvalidOperation, "the template refused its input");
    Err(error.with_source(Raised(message)))
}

/// Python's json.dumps, without minijinja's escapes for HTML.
fn tojson(state: &mut State, value: Value, indent: Option<usize>, options: Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<usize>>("indent")?,
    };
    // json.dumps has more knobs; templates pass them at their defaults.
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("sort_keys")?;
    let _: Option<Value> = options.get("separators")?;
    options.assert_all_used()?;
    let text = json::dumps(&value, indent.map(|width| width.min(16)))
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    state.consume_fuel(text.len() as u64 / 8)?;
    Ok(Value::from_safe_string(text))
}

pub fn make(fuel: u64) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(MAX_RECURSION);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    // As transformers builds its jinja2 environment.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_filter("tojson", tojson);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", |format: String| time::format_now(&format));
    env
}
