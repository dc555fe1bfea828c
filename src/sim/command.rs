//! Entry points of command pools and command buffers.

use super::callbacks::HostShadow;

/// One `VkCommandPool`.
pub(super) struct CommandPool {
    pub(super) shadow: HostShadow,
}

/// One `VkCommandBuffer`.
pub(super) struct CommandBuffer {
    pub(super) pool: u64,
}
