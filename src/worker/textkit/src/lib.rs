//! Chat templates and constrained answers for the confined worker. A template comes with the model file and is hostile: it gets a bounded
//! number of steps, a bounded output and no I/O, and whatever it does ends as a status code and a bounded text.
//! Rendering makes no system call but for memory, once `textkit_render` has run on the thread before.

mod constraint;
mod environment;
mod json;
mod time;

use std::io::{self, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;

use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value};

/// What `textkit_render` returns; the same values stand in textkit.h.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    /// The template cannot be parsed or misuses a value.
    TemplateInvalid = 1,
    /// The template refused its input by raise_exception().
    Raised = 2,
    /// Out of steps.
    OutOfFuel = 3,
    /// More output than allowed.
    OutputTooLarge = 4,
    /// The context is not a JSON object: our caller's bug.
    ContextInvalid = 5,
    /// A panic in the renderer.
    Panicked = 6,
}

/// Longest error text handed out, in bytes.
const MAX_ERROR_BYTES: usize = 512;
/// Longest template accepted, in bytes.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;

pub struct Limits {
    pub fuel: u64,
    pub output_bytes: usize,
}

type Outcome = Result<Vec<u8>, (Status, String)>;

/// Collects output up to a bound.
struct BoundedOutput {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Write for BoundedOutput {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.limit - self.bytes.len() {
            self.overflowed = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        let mut end = MAX_ERROR_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

fn describe(error: &Error) -> (Status, String) {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut out_of_fuel = false;
    while let Some(current) = cause {
        if let Some(inner) = current.downcast_ref::<Error>() {
            out_of_fuel |= inner.kind() == ErrorKind::OutOfFuel;
        }
        if let Some(raised) = current.downcast_ref::<environment::Raised>() {
            return (Status::Raised, raised.0.clone());
        }
        cause = current.source();
    }
    let status = if out_of_fuel { Status::OutOfFuel } else { Status::TemplateInvalid };
    (status, error.to_string())
}

/// Renders `template` with the members of the JSON object `context` as variables.
pub fn render(template: &str, context: &str, limits: &Limits) -> Outcome {
    if template.len() > MAX_TEMPLATE_BYTES {
        let text = format!("template of {} bytes", template.len());
        return Err((Status::TemplateInvalid, text));
    }
    let context: serde_json::Value =
        serde_json::from_str(context).map_err(|error| (Status::ContextInvalid, error.to_string()))?;
    if !context.is_object() {
        return Err((Status::ContextInvalid, "the context is not an object".into()));
    }
    let env = environment::make(limits.fuel);
    let template = env.template_from_named_str("chat_template", template).map_err(|error| describe(&error))?;
    let mut output = BoundedOutput { bytes: Vec::new(), limit: limits.output_bytes, overflowed: false };
    let rendered = template.render_captured_to(Value::from(Serde(&context)), &mut output).map(drop);
    match rendered {
        Ok(()) => Ok(output.bytes),
        Err(_) if output.overflowed => {
            let text = format!("the template writes more than {} bytes", limits.output_bytes);
            Err((Status::OutputTooLarge, text))
        }
        Err(error) => Err(describe(&error)),
    }
}

unsafe fn text<'a>(data: *const u8, size: usize) -> Option<&'a str> {
    if size == 0 {
        return Some("");
    }
    // SAFETY: textkit.h asks for `size` readable bytes that nobody changes during the call.
    std::str::from_utf8(unsafe { slice::from_raw_parts(data, size) }).ok()
}

/// Gives bytes to the caller, who owes them to textkit_free().
unsafe fn hand_out(bytes: Vec<u8>, out: *mut *mut u8, out_size: *mut usize) {
    let boxed = bytes.into_boxed_slice();
    // SAFETY: the caller's promise: both are writable.
    unsafe {
        *out_size = boxed.len();
        *out = Box::into_raw(boxed).cast::<u8>();
    }
}

/// See textkit.h.
///
/// # Safety
/// The pointers are valid for their sizes, `out` and `out_size` are writable.
#[no_mangle]
pub unsafe extern "C" fn textkit_render(
    template: *const u8, template_size: usize, context: *const u8, context_size: usize, fuel: u64,
    max_output: usize, out: *mut *mut u8, out_size: *mut usize,
) -> i32 {
    let limits = Limits { fuel, output_bytes: max_output };
    // SAFETY: the caller's promise above.
    let (template, context) = unsafe { (text(template, template_size), text(context, context_size)) };
    let outcome = match (template, context) {
        (Some(template), Some(context)) => {
            catch_unwind(AssertUnwindSafe(|| render(template, context, &limits)))
                .unwrap_or_else(|_| Err((Status::Panicked, "the template engine failed".into())))
        }
        (None, _) => Err((Status::TemplateInvalid, "the template is not UTF-8".into())),
        (_, None) => Err((Status::ContextInvalid, "the context is not UTF-8".into())),
    };
    let (status, bytes) = match outcome {
        Ok(bytes) => (Status::Ok, bytes),
        Err((status, text)) => (status, bounded(text).into_bytes()),
    };
    // SAFETY: the caller's promise above.
    unsafe { hand_out(bytes, out, out_size) };
    status as i32
}

/// See textkit.h.
///
/// # Safety
/// `data` and `size` came together from one `textkit_render` and are freed once.
#[no_mangle]
pub unsafe extern "C" fn textkit_free(data: *mut u8, size: usize) {
    // SAFETY: the caller's promise above.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, size)) });
}

/// See textkit.h.
#[no_mangle]
pub extern "C" fn textkit_silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
