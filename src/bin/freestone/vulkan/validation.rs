//! Collects what the validation layers say, and knows which of it to forgive.
//!
//! A message counts when its severity is warning or above and its type validation or performance. The callback never
//! asks a layer to skip a call, so what is tested is what would run without layers.
//!
//! Exceptions stand in one table, [`EXCEPTIONS`]. Each names drivers, layers and a program, and that program must
//! hear it there: an entry that no longer fires is reported by [`Validation::unused_exceptions`] and is to be removed.
//!
//! Source: Vulkan specification, `VK_EXT_debug_utils`.

use ash::vk;
use std::ffi::{CStr, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whose implementation is under test. Exceptions are forgiven by driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    Lavapipe,
    SwiftShader,
    Mock,
    /// A hardware driver, or one of ours.
    Other,
}

impl Driver {
    /// Tells the driver from the device's name.
    pub(crate) fn of(properties: &vk::PhysicalDeviceProperties) -> Self {
        let name = properties.device_name_as_c_str().unwrap_or_default().to_string_lossy();
        let known = [("llvmpipe", Self::Lavapipe), ("SwiftShader", Self::SwiftShader), ("Vulkan Mock", Self::Mock)];
        known.iter().find(|(word, _)| name.contains(word)).map_or(Self::Other, |&(_, driver)| driver)
    }
}

/// Which generation of the layers speaks: the older ones (1.3) word and check some things differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    Before14,
    From14,
}

/// The program under validation. What it enables and what is forgiven may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Test,
    Quickstart,
    Compute,
    /// Draws into a window, which the others do not.
    Renderer,
    Devices,
    /// Lets the layers watch what its shaders access, which takes far longer, instead of the further checks of the
    /// others.
    WatchedShaders,
    /// Creates resources as recorded applications did, with the usage bits of extensions that others do not enable.
    Replay,
}

/// A message that is forgiven, and why.
#[derive(Debug)]
pub(crate) struct Exception {
    /// A part of the message's id or text.
    pub(crate) message: &'static str,
    /// The drivers it comes on; `None`: on every one.
    pub(crate) drivers: Option<&'static [Driver]>,
    /// The layers it comes from; `None`: from every one.
    pub(crate) generation: Option<Generation>,
    /// The program that provokes it; `None`: every one that allocates, under the ordinary checks.
    pub(crate) program: Option<Program>,
    pub(crate) reason: &'static str,
}

/// Every forgiven message there is.
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        message: "enable extension VK_EXT_debug_utils",
        drivers: None,
        generation: Some(Generation::Before14),
        program: None,
        reason: "the layers warn of the extension through which they are heard",
    },
    Exception {
        message: "enable extension VK_EXT_validation_features",
        drivers: None,
        generation: Some(Generation::Before14),
        program: None,
        reason: "the layers warn of the extension that turns their own checks on",
    },
    Exception {
        message: "larger than maxMemoryAllocationSize (0)",
        drivers: Some(&[Driver::Mock]),
        generation: Some(Generation::From14),
        program: None,
        reason: "the mock driver leaves the limit at 0 where the layers ask, which says nothing about the limit",
    },
    Exception {
        message: "enable extension VK_EXT_transform_feedback",
        drivers: Some(&[Driver::Lavapipe, Driver::Mock]),
        generation: None,
        program: Some(Program::Replay),
        reason: "OpenGL emulation, for which the extension is meant, is among the recorded applications",
    },
    Exception {
        message: "enable extension VK_EXT_attachment_feedback_loop_layout",
        drivers: Some(&[Driver::Lavapipe, Driver::Mock]),
        generation: Some(Generation::From14),
        program: Some(Program::Replay),
        reason: "OpenGL emulation, for which the extension is meant, is among the recorded applications",
    },
    Exception {
        message: "WARNING-Setting-Limit-Adjusted",
        drivers: None,
        generation: Some(Generation::From14),
        program: Some(Program::WatchedShaders),
        reason: "the layers say which limits they lower to watch shaders",
    },
    Exception {
        message: "Both GPU Assisted Validation and Normal Core Check Validation are enabled",
        drivers: None,
        generation: Some(Generation::From14),
        program: Some(Program::WatchedShaders),
        reason: "the layers say that watching shaders beside the core checks is slow",
    },
];

impl Exception {
    fn is_due(&self, program: Program, generation: Generation, driver: Option<Driver>) -> bool {
        let is_driver = |drivers: &[Driver]| driver.is_none_or(|driver| drivers.contains(&driver));
        self.program.map_or(program != Program::WatchedShaders, |wanted| wanted == program)
            && self.generation.is_none_or(|wanted| wanted == generation)
            && self.drivers.is_none_or(is_driver)
    }
}

/// One message, with the number of times it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The layer's id, such as a VUID.
    pub(crate) id: String,
    pub(crate) severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    /// The text the first time.
    pub(crate) text: String,
    pub(crate) count: u64,
}

impl std::fmt::Display for Message {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?} {} ({} times)\n    {}", self.severity, self.id, self.count, self.text)
    }
}

#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Message>,
    /// How often each entry of the table fired, by its index.
    excepted: Vec<u64>,
    driver: Option<Driver>,
}

/// The ear of one instance's validation layers. Any thread may be heard.
#[derive(Debug)]
pub(crate) struct Validation {
    program: Program,
    generation: Generation,
    heard: Mutex<Heard>,
}

impl Validation {
    /// Makes the ear for layers of the version that they state.
    pub(crate) fn new(program: Program, layer_version: u32) -> Self {
        let generation =
            if layer_version < vk::make_api_version(0, 1, 4, 0) { Generation::Before14 } else { Generation::From14 };
        let heard = Heard { excepted: vec![0; EXCEPTIONS.len()], ..Heard::default() };
        Self { program, generation, heard: Mutex::new(heard) }
    }

    pub(crate) fn program(&self) -> Program {
        self.program
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Says which driver is under test. Messages before this, from creating the instance, match entries of any driver.
    pub(crate) fn name_driver(&self, driver: Driver) {
        self.lock().driver = Some(driver);
    }

    /// Returns what was heard and not forgiven.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    /// Returns what was heard and not forgiven, and forgets it.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.lock().messages)
    }

    /// Returns how many messages were heard and not forgiven, each time counted.
    pub(crate) fn count(&self) -> u64 {
        self.lock().messages.iter().map(|message| message.count).sum()
    }

    /// Prints what was heard and not forgiven to stderr.
    pub(crate) fn print(&self) {
        for message in self.messages() {
            eprintln!("validation: {message}");
        }
    }

    /// Returns the exceptions that this program should have provoked on this driver and did not. Ask when all is done.
    pub(crate) fn unused_exceptions(&self) -> Vec<&'static Exception> {
        let heard = self.lock();
        let is_unused = |&(index, entry): &(usize, &Exception)| {
            heard.excepted[index] == 0 && entry.is_due(self.program, self.generation, heard.driver)
        };
        EXCEPTIONS.iter().enumerate().filter(is_unused).map(|(_, entry)| entry).collect()
    }

    fn hear(&self, severity: vk::DebugUtilsMessageSeverityFlagsEXT, id: String, text: String) {
        let mut heard = self.lock();
        if let Some(index) = self.exception(heard.driver, &id, &text) {
            heard.excepted[index] += 1;
            return;
        }
        if let Some(known) = heard.messages.iter_mut().find(|message| message.id == id) {
            known.count += 1;
            return;
        }
        heard.messages.push(Message { id, severity, text, count: 1 });
    }

    fn exception(&self, driver: Option<Driver>, id: &str, text: &str) -> Option<usize> {
        EXCEPTIONS.iter().position(|entry| {
            (id.contains(entry.message) || text.contains(entry.message))
                && entry.is_due(self.program, self.generation, driver)
        })
    }

    /// A panic elsewhere in the program must not silence the layers.
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes a messenger that speaks to `validation`, which must outlive the instance it is used on.
pub(crate) fn messenger_info(validation: &Arc<Validation>) -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
    vk::DebugUtilsMessengerCreateInfoEXT::default()
        .message_severity(vk::DebugUtilsMessageSeverityFlagsEXT::WARNING | vk::DebugUtilsMessageSeverityFlagsEXT::ERROR)
        .message_type(vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE)
        .pfn_user_callback(Some(on_message))
        .user_data(Arc::as_ptr(validation).cast::<c_void>().cast_mut())
}

unsafe extern "system" fn on_message(
    severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _types: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    user_data: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: `messenger_info` stored a `Validation` that lives as long as the instance; only shared references exist.
    let validation = unsafe { user_data.cast::<Validation>().as_ref() };
    // SAFETY: the layer passes a valid structure for the time of this call.
    let data = unsafe { data.as_ref() };
    if let (Some(validation), Some(data)) = (validation, data) {
        // SAFETY: null, or a string that lives for the time of this call.
        let id = unsafe { text_of(data.p_message_id_name) };
        // SAFETY: as above.
        let text = unsafe { text_of(data.p_message) };
        validation.hear(severity, id, text);
    }
    // TRUE would make the layer skip the call that it speaks about.
    vk::FALSE
}

/// Copies a C string; a null pointer is an empty one.
///
/// # Safety
///
/// 1. `text` is null or points to a string that ends in a zero byte and stays for the time of this call.
unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null; duty 1 for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
