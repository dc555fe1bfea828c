//! `VkAllocationCallbacks`: recorded, and really called.
//!
//! For each object created with callbacks the driver takes a small piece of host memory through them and gives it back
//! when the object is destroyed, so that a library that forgets to pass them on, or passes others, is found out.
//! User functions are called with no lock held.
//!
//! # Source
//!
//! Section "Host Memory" of the Vulkan specification; the compatibility rules of each `vkDestroy...`.

use super::function::Function;
use super::state::State;
use ash::vk;
use core::ffi::c_void;

/// Size and alignment of the piece taken for each object, in bytes. Taste.
const SHADOW_SIZE: usize = 64;
const SHADOW_ALIGNMENT: usize = 16;

/// The two rules about callbacks at the destruction of an object.
#[derive(Clone, Copy)]
pub(super) struct CallbackRules {
    /// Created with callbacks: compatible ones must be given.
    pub(super) given: &'static str,
    /// Created without: none may be given.
    pub(super) none: &'static str,
}

/// The piece of host memory that one object took through the callbacks, if it had any.
pub(super) struct HostShadow {
    pointer: *mut c_void,
}

// SAFETY: the pointer is only handed back to the user's callbacks, which must be callable from any thread.
unsafe impl Send for HostShadow {}

impl HostShadow {
    /// Records the callbacks of a creation and takes memory through them.
    pub(super) fn take(
        state: &State,
        function: Function,
        callbacks: Option<&vk::AllocationCallbacks<'_>>,
    ) -> Result<Self, vk::Result> {
        let mut shadow = Self { pointer: core::ptr::null_mut() };
        let Some(callbacks) = callbacks else {
            return Ok(shadow);
        };
        state.used_callbacks(function, callbacks.p_user_data as usize);
        if let Some(allocate) = callbacks.pfn_allocation {
            let scope = vk::SystemAllocationScope::OBJECT;
            // SAFETY: a callback of the user's, called as the specification says, with no lock held.
            shadow.pointer = unsafe { allocate(callbacks.p_user_data, SHADOW_SIZE, SHADOW_ALIGNMENT, scope) };
        }
        if shadow.pointer.is_null() { Err(vk::Result::ERROR_OUT_OF_HOST_MEMORY) } else { Ok(shadow) }
    }

    /// Gives the memory back through the callbacks of a destruction, and checks that they are compatible.
    pub(super) fn give_back(
        self,
        state: &State,
        function: Function,
        callbacks: Option<&vk::AllocationCallbacks<'_>>,
        rules: CallbackRules,
    ) {
        if let Some(callbacks) = callbacks {
            state.used_callbacks(function, callbacks.p_user_data as usize);
        }
        match (self.pointer.is_null(), callbacks) {
            (true, None) => {}
            (true, Some(_)) => {
                state.violate(rules.none, function, "callbacks given, but the object was created without".to_owned());
            }
            (false, None) => state.violate(
                rules.given,
                function,
                "no callbacks given, but the object was created with some".to_owned(),
            ),
            (false, Some(callbacks)) => {
                if let Some(free) = callbacks.pfn_free {
                    // SAFETY: a callback of the user's, given what its partner returned, once.
                    unsafe { free(callbacks.p_user_data, self.pointer) };
                }
            }
        }
    }
}
