//! Every driver function by name, and the results with which each may fail.
//!
//! A function of an extension that became core is one `Function` under its core name: counting and failing it works
//! whichever of its names the caller resolved.

use ash::vk;
use core::fmt;

const HOST: vk::Result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;
const DEVICE: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
const LOST: vk::Result = vk::Result::ERROR_DEVICE_LOST;
const ADDRESS: vk::Result = vk::Result::ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS;
const MEMORY: &[vk::Result] = &[HOST, DEVICE];
const MEMORY_OR_LOST: &[vk::Result] = &[HOST, DEVICE, LOST];

macro_rules! functions {
    ($($variant:ident = $name:literal $failures:expr;)+) => {
        /// A function of the driver, by its core name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`.")] $variant,)+
        }

        impl Function {
            /// All functions, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the function's core name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the results with which the function may fail; empty for a function that cannot.
            ///
            /// # Source
            ///
            /// The "Failure" lists of the Vulkan 1.3 specification, without the results of import and export
            /// operations.
            pub const fn failures(self) -> &'static [vk::Result] {
                match self { $(Self::$variant => $failures,)+ }
            }
        }
    };
}

functions! {
    EnumerateInstanceVersion = "vkEnumerateInstanceVersion" &[HOST];
    EnumerateInstanceExtensionProperties = "vkEnumerateInstanceExtensionProperties" MEMORY;
    EnumerateInstanceLayerProperties = "vkEnumerateInstanceLayerProperties" MEMORY;
    CreateInstance = "vkCreateInstance" &[HOST, DEVICE, vk::Result::ERROR_INITIALIZATION_FAILED, vk::Result::ERROR_INCOMPATIBLE_DRIVER];
    DestroyInstance = "vkDestroyInstance" &[];
    EnumeratePhysicalDevices = "vkEnumeratePhysicalDevices" &[HOST, DEVICE, vk::Result::ERROR_INITIALIZATION_FAILED];
    GetPhysicalDeviceFeatures = "vkGetPhysicalDeviceFeatures" &[];
    GetPhysicalDeviceFeatures2 = "vkGetPhysicalDeviceFeatures2" &[];
    GetPhysicalDeviceFormatProperties = "vkGetPhysicalDeviceFormatProperties" &[];
    GetPhysicalDeviceFormatProperties2 = "vkGetPhysicalDeviceFormatProperties2" &[];
    GetPhysicalDeviceImageFormatProperties = "vkGetPhysicalDeviceImageFormatProperties" MEMORY;
    GetPhysicalDeviceImageFormatProperties2 = "vkGetPhysicalDeviceImageFormatProperties2" MEMORY;
    GetPhysicalDeviceProperties = "vkGetPhysicalDeviceProperties" &[];
    GetPhysicalDeviceProperties2 = "vkGetPhysicalDeviceProperties2" &[];
    GetPhysicalDeviceSparseImageFormatProperties = "vkGetPhysicalDeviceSparseImageFormatProperties" &[];
    GetPhysicalDeviceSparseImageFormatProperties2 = "vkGetPhysicalDeviceSparseImageFormatProperties2" &[];
    GetPhysicalDeviceQueueFamilyProperties = "vkGetPhysicalDeviceQueueFamilyProperties" &[];
    GetPhysicalDeviceQueueFamilyProperties2 = "vkGetPhysicalDeviceQueueFamilyProperties2" &[];
    GetPhysicalDeviceMemoryProperties = "vkGetPhysicalDeviceMemoryProperties" &[];
    GetPhysicalDeviceMemoryProperties2 = "vkGetPhysicalDeviceMemoryProperties2" &[];
    EnumerateDeviceExtensionProperties = "vkEnumerateDeviceExtensionProperties" MEMORY;
    EnumerateDeviceLayerProperties = "vkEnumerateDeviceLayerProperties" MEMORY;
    CreateDevice = "vkCreateDevice" &[HOST, DEVICE, vk::Result::ERROR_INITIALIZATION_FAILED, vk::Result::ERROR_TOO_MANY_OBJECTS, LOST];
    DestroyDevice = "vkDestroyDevice" &[];
    GetDeviceQueue = "vkGetDeviceQueue" &[];
    AllocateMemory = "vkAllocateMemory" &[HOST, DEVICE, vk::Result::ERROR_TOO_MANY_OBJECTS, ADDRESS];
    FreeMemory = "vkFreeMemory" &[];
    MapMemory = "vkMapMemory" &[HOST, DEVICE, vk::Result::ERROR_MEMORY_MAP_FAILED];
    UnmapMemory = "vkUnmapMemory" &[];
    MapMemory2 = "vkMapMemory2KHR" &[HOST, DEVICE, vk::Result::ERROR_MEMORY_MAP_FAILED];
    UnmapMemory2 = "vkUnmapMemory2KHR" &[vk::Result::ERROR_MEMORY_MAP_FAILED];
    FlushMappedMemoryRanges = "vkFlushMappedMemoryRanges" MEMORY;
    InvalidateMappedMemoryRanges = "vkInvalidateMappedMemoryRanges" MEMORY;
    GetDeviceMemoryCommitment = "vkGetDeviceMemoryCommitment" &[];
    SetDeviceMemoryPriority = "vkSetDeviceMemoryPriorityEXT" &[];
    CreateBuffer = "vkCreateBuffer" &[HOST, DEVICE, ADDRESS];
    DestroyBuffer = "vkDestroyBuffer" &[];
    CreateImage = "vkCreateImage" &[HOST, DEVICE, ADDRESS];
    DestroyImage = "vkDestroyImage" &[];
    GetBufferMemoryRequirements = "vkGetBufferMemoryRequirements" &[];
    GetImageMemoryRequirements = "vkGetImageMemoryRequirements" &[];
    GetBufferMemoryRequirements2 = "vkGetBufferMemoryRequirements2" &[];
    GetImageMemoryRequirements2 = "vkGetImageMemoryRequirements2" &[];
    GetDeviceBufferMemoryRequirements = "vkGetDeviceBufferMemoryRequirements" &[];
    GetDeviceImageMemoryRequirements = "vkGetDeviceImageMemoryRequirements" &[];
    GetImageSubresourceLayout = "vkGetImageSubresourceLayout" &[];
    BindBufferMemory = "vkBindBufferMemory" &[HOST, DEVICE, ADDRESS];
    BindImageMemory = "vkBindImageMemory" MEMORY;
    BindBufferMemory2 = "vkBindBufferMemory2" &[HOST, DEVICE, ADDRESS];
    BindImageMemory2 = "vkBindImageMemory2" MEMORY;
    GetBufferDeviceAddress = "vkGetBufferDeviceAddress" &[];
    CreateFence = "vkCreateFence" MEMORY;
    DestroyFence = "vkDestroyFence" &[];
    ResetFences = "vkResetFences" &[DEVICE];
    GetFenceStatus = "vkGetFenceStatus" MEMORY_OR_LOST;
    WaitForFences = "vkWaitForFences" MEMORY_OR_LOST;
    CreateSemaphore = "vkCreateSemaphore" MEMORY;
    DestroySemaphore = "vkDestroySemaphore" &[];
    GetSemaphoreCounterValue = "vkGetSemaphoreCounterValue" MEMORY_OR_LOST;
    WaitSemaphores = "vkWaitSemaphores" MEMORY_OR_LOST;
    SignalSemaphore = "vkSignalSemaphore" MEMORY;
    CreateCommandPool = "vkCreateCommandPool" MEMORY;
    DestroyCommandPool = "vkDestroyCommandPool" &[];
    ResetCommandPool = "vkResetCommandPool" MEMORY;
    AllocateCommandBuffers = "vkAllocateCommandBuffers" MEMORY;
    FreeCommandBuffers = "vkFreeCommandBuffers" &[];
    BeginCommandBuffer = "vkBeginCommandBuffer" MEMORY;
    EndCommandBuffer = "vkEndCommandBuffer" MEMORY;
    ResetCommandBuffer = "vkResetCommandBuffer" MEMORY;
    CmdCopyBuffer = "vkCmdCopyBuffer" &[];
    CmdFillBuffer = "vkCmdFillBuffer" &[];
    CmdUpdateBuffer = "vkCmdUpdateBuffer" &[];
    CmdCopyBufferToImage = "vkCmdCopyBufferToImage" &[];
    CmdCopyImageToBuffer = "vkCmdCopyImageToBuffer" &[];
    CmdClearColorImage = "vkCmdClearColorImage" &[];
    CmdPipelineBarrier = "vkCmdPipelineBarrier" &[];
    CmdPipelineBarrier2 = "vkCmdPipelineBarrier2" &[];
    QueueSubmit = "vkQueueSubmit" MEMORY_OR_LOST;
    QueueSubmit2 = "vkQueueSubmit2" MEMORY_OR_LOST;
    QueueWaitIdle = "vkQueueWaitIdle" MEMORY_OR_LOST;
    DeviceWaitIdle = "vkDeviceWaitIdle" MEMORY_OR_LOST;
    CreateImageView = "vkCreateImageView" MEMORY;
    DestroyImageView = "vkDestroyImageView" &[];
    CreateSampler = "vkCreateSampler" MEMORY;
    DestroySampler = "vkDestroySampler" &[];
    CreateShaderModule = "vkCreateShaderModule" MEMORY;
    DestroyShaderModule = "vkDestroyShaderModule" &[];
    CreatePipelineCache = "vkCreatePipelineCache" MEMORY;
    DestroyPipelineCache = "vkDestroyPipelineCache" &[];
    CreatePipelineLayout = "vkCreatePipelineLayout" MEMORY;
    DestroyPipelineLayout = "vkDestroyPipelineLayout" &[];
    CreateComputePipelines = "vkCreateComputePipelines" MEMORY;
    DestroyPipeline = "vkDestroyPipeline" &[];
    CreateDescriptorSetLayout = "vkCreateDescriptorSetLayout" MEMORY;
    DestroyDescriptorSetLayout = "vkDestroyDescriptorSetLayout" &[];
    CreateDescriptorPool = "vkCreateDescriptorPool" MEMORY;
    DestroyDescriptorPool = "vkDestroyDescriptorPool" &[];
    AllocateDescriptorSets = "vkAllocateDescriptorSets" &[HOST, DEVICE, vk::Result::ERROR_FRAGMENTED_POOL, vk::Result::ERROR_OUT_OF_POOL_MEMORY];
    FreeDescriptorSets = "vkFreeDescriptorSets" &[];
    UpdateDescriptorSets = "vkUpdateDescriptorSets" &[];
    CmdBindPipeline = "vkCmdBindPipeline" &[];
    CmdBindDescriptorSets = "vkCmdBindDescriptorSets" &[];
    CmdPushConstants = "vkCmdPushConstants" &[];
    CmdDispatch = "vkCmdDispatch" &[];
    SetDebugUtilsObjectName = "vkSetDebugUtilsObjectNameEXT" MEMORY;
    CreateDebugUtilsMessenger = "vkCreateDebugUtilsMessengerEXT" &[HOST];
    DestroyDebugUtilsMessenger = "vkDestroyDebugUtilsMessengerEXT" &[];
}

impl Function {
    /// Number of functions.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// Returns the function of that core name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Yields the functions that can fail.
    pub fn failable() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|function| function.can_fail())
    }

    /// Tells whether the function returns a `VkResult` that may be a failure.
    pub const fn can_fail(self) -> bool {
        !self.failures().is_empty()
    }

    /// Tells whether the function begins or ends the use of something by a queue, so that device loss ends it like
    /// success.
    ///
    /// # Source
    ///
    /// "Lost Device" in the Vulkan specification.
    pub(super) const fn tells_of_use(self) -> bool {
        matches!(
            self,
            Self::QueueSubmit
                | Self::QueueSubmit2
                | Self::QueueWaitIdle
                | Self::DeviceWaitIdle
                | Self::WaitForFences
                | Self::GetFenceStatus
                | Self::WaitSemaphores
                | Self::GetSemaphoreCounterValue
        )
    }

    /// Returns the position of the function in `ALL`.
    pub(super) const fn position(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
