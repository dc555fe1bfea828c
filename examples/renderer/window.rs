//! The window: opens it, hears what happens to it, lends it to Vulkan.
//!
//! Frames are drawn in a plain loop: [`Window::pump`] hands over what has happened since the last one.

use std::error::Error;
use std::ffi::CStr;
use std::time::Duration;

use freestone::ash::{self, khr, vk};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::keyboard::{Key, NamedKey};
use winit::platform::pump_events::{EventLoopExtPumpEvents, PumpStatus};
use winit::raw_window_handle::{HasDisplayHandle, HasWindowHandle};
use winit::window::WindowId;

use crate::headless::Vulkan;

/// How long a loop with nothing to draw waits for something to happen.
const NAP: Duration = Duration::from_millis(20);

pub(crate) struct Window {
    state: State,
    events: EventLoop<()>,
}

/// What the event loop writes to.
struct State {
    window: Option<winit::window::Window>,
    size: PhysicalSize<u32>,
    is_closed: bool,
    error: Option<winit::error::OsError>,
}

/// What the loop is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Draw,
    Close,
}

impl Window {
    /// Opens a window whose inside is so large.
    ///
    /// # Errors
    /// Where there is no display, or it refuses the window.
    pub(crate) fn open((width, height): (u32, u32)) -> Result<Self, Box<dyn Error>> {
        let mut events = EventLoop::new().map_err(|error| format!("no display: {error}"))?;
        let size = PhysicalSize::new(width, height);
        let mut state = State { window: None, size, is_closed: false, error: None };
        while state.window.is_none() && !state.is_closed {
            events.pump_app_events(Some(NAP), &mut state);
        }
        match state.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(Self { state, events }),
        }
    }

    /// Hears what has happened.
    pub(crate) fn pump(&mut self) -> Next {
        self.pump_for(Duration::ZERO)
    }

    /// Waits a moment for something to happen, for a window that shows nothing.
    pub(crate) fn nap(&mut self) -> Next {
        self.pump_for(NAP)
    }

    fn pump_for(&mut self, patience: Duration) -> Next {
        let status = self.events.pump_app_events(Some(patience), &mut self.state);
        let is_over = self.state.is_closed || matches!(status, PumpStatus::Exit(_));
        if is_over { Next::Close } else { Next::Draw }
    }

    /// Returns how large the inside is, in pixels. Both are zero, on some systems, while the window is minimised.
    pub(crate) fn extent(&self) -> vk::Extent2D {
        vk::Extent2D { width: self.state.size.width, height: self.state.size.height }
    }

    /// Asks for another size.
    pub(crate) fn request_size(&mut self, (width, height): (u32, u32)) {
        let window = self.state.window.as_ref();
        // Where the size is given at once no event follows.
        if let Some(size) = window.and_then(|window| window.request_inner_size(PhysicalSize::new(width, height))) {
            self.state.size = size;
        }
    }

    /// Returns the extensions of the instance that surfaces need here.
    ///
    /// # Errors
    /// Where ash-window does not know this window system.
    pub(crate) fn extensions(&self) -> Result<Vec<&'static CStr>, Box<dyn Error>> {
        let names = ash_window::enumerate_required_extensions(self.events.display_handle()?.as_raw())?;
        // SAFETY: ash-window returns pointers to constant names.
        Ok(names.iter().map(|&name| unsafe { CStr::from_ptr(name) }).collect())
    }
}

impl ApplicationHandler for State {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.window.is_some() {
            return;
        }
        let attributes = winit::window::Window::default_attributes().with_title("freestone").with_inner_size(self.size);
        match events.create_window(attributes) {
            Ok(window) => {
                self.size = window.inner_size();
                self.window = Some(window);
            }
            Err(error) => {
                self.error = Some(error);
                self.is_closed = true;
            }
        }
    }

    fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => self.is_closed = true,
            WindowEvent::Resized(size) => self.size = size,
            WindowEvent::KeyboardInput { event, .. } => {
                self.is_closed |= event.logical_key == Key::Named(NamedKey::Escape);
            }
            _ => {}
        }
    }
}

/// The window as Vulkan sees it.
pub(crate) struct Surface {
    pub(crate) functions: khr::surface::Instance,
    pub(crate) handle: vk::SurfaceKHR,
}

impl Surface {
    /// Makes the surface of a window, for the device's queue.
    ///
    /// # Errors
    /// Where a call of Vulkan fails, or the queue cannot show anything in it.
    pub(crate) fn new(vulkan: &Vulkan<'_>, window: &Window) -> Result<Self, Box<dyn Error>> {
        let inner = window.state.window.as_ref().ok_or("the window has gone")?;
        let display = inner.display_handle()?.as_raw();
        let (entry, instance): (_, &ash::Instance) = (vulkan.entry, vulkan.instance);
        let handle = inner.window_handle()?.as_raw();
        // SAFETY: the instance has the extensions that ash-window asked for; `run` drops the surface before `start`
        // closes the device, and with it the instance, and drops the window.
        let handle = unsafe { ash_window::create_surface(entry, instance, display, handle, None) }?;
        let surface = Self { functions: khr::surface::Instance::new(entry, instance), handle };
        let (device, family) = (vulkan.physical_device, vulkan.queue_family_index);
        // SAFETY: device and surface belong to the instance; the family is the device's.
        if unsafe { surface.functions.get_physical_device_surface_support(device, family, handle) }? {
            Ok(surface)
        } else {
            Err("the first device of this machine cannot show anything in a window".into())
        }
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        // SAFETY: the swapchain was dropped before: it borrows the surface.
        unsafe { self.functions.destroy_surface(self.handle, None) };
    }
}
