//! The passes of a frame, from the shadow map to the screen, with the barriers between them.

use freestone::ash::{self, vk};

use crate::commands::{ACQUIRED, DEPTH_DRAWN, DRAWN, Pass, SAMPLED, SHOWN, barrier};
use crate::meshes::MeshDraws;
use crate::pipelines::Pipelines;
use crate::scene::{Scene, Seen};
use crate::streaming::Stock;
use crate::swapchain::Shown;
use crate::targets::{BLOOM_LEVELS, Target, Targets};

/// The set of the pass that draws a bloom level on the way down; those on the way up and the last one come behind.
const FIRST_UP: usize = BLOOM_LEVELS;
const COMPOSE: usize = 2 * BLOOM_LEVELS - 1;
const SMOOTH: usize = 2 * BLOOM_LEVELS;

/// What was written for this frame: the scene's set with its offsets, and the letters.
pub(crate) struct Bound {
    pub(crate) set: vk::DescriptorSet,
    pub(crate) offsets: [u32; 2],
    pub(crate) letters: (vk::Buffer, u64, u32),
    pub(crate) font: vk::DescriptorSet,
}

pub(crate) struct Passes<'a, 'b> {
    pub(crate) device: &'a ash::Device,
    pub(crate) commands: vk::CommandBuffer,
    pub(crate) pipelines: &'a Pipelines<'b>,
    pub(crate) targets: &'a Targets<'b>,
    pub(crate) scene: &'a Scene,
    pub(crate) stocks: &'a [Option<Stock<'b>>],
    pub(crate) seen: &'a [Seen],
    pub(crate) time: f32,
}

impl Passes<'_, '_> {
    /// Points the sets at what the passes read, when the targets were made anew. The device is idle.
    pub(crate) fn point_sets(pipelines: &Pipelines<'_>, targets: &Targets<'_>) {
        pipelines.point_at_shadow(targets.view(Target::Shadow));
        let light = targets.view(Target::Light);
        for level in 0..BLOOM_LEVELS {
            let source = if level == 0 { light } else { targets.view(Target::Bloom(level - 1)) };
            pipelines.point_at_pictures(level, [source, source]);
        }
        for level in 0..BLOOM_LEVELS - 1 {
            let smaller = targets.view(Target::Bloom(level + 1));
            pipelines.point_at_pictures(FIRST_UP + level, [smaller, smaller]);
        }
        pipelines.point_at_pictures(COMPOSE, [light, targets.view(Target::Bloom(0))]);
        pipelines.point_at_pictures(SMOOTH, [targets.view(Target::Picture); 2]);
    }

    /// Records all of them; the picture is drawn then, and not yet ready to be shown.
    pub(crate) fn record(&self, bound: &Bound, shown: &Shown, screen: vk::Extent2D) {
        self.shadow(bound);
        self.scene(bound);
        self.bloom();
        self.compose();
        self.smooth(bound, shown, screen);
    }

    /// Records that the picture is given to the screen.
    pub(crate) fn show(&self, shown: &Shown) {
        barrier(self.device, self.commands, (shown.image, vk::ImageAspectFlags::COLOR), DRAWN, SHOWN);
    }

    /// Draws what the sun sees: depth alone.
    fn shadow(&self, bound: &Bound) {
        self.targets.enter(self.commands, Target::Shadow);
        let map = cleared_depth(self.targets.view(Target::Shadow), vk::AttachmentStoreOp::STORE);
        {
            let extent = self.targets.extent(Target::Shadow);
            let pass = Pass::begin(self.device, self.commands, extent, None, Some(map));
            pass.pipeline(self.pipelines.shadow);
            self.stones(&pass, bound, Eye::Sun);
        }
        self.targets.between(self.commands, Target::Shadow, DEPTH_DRAWN, SAMPLED);
    }

    /// Draws the quarry.
    fn scene(&self, bound: &Bound) {
        for target in [Target::Depth, Target::Light] {
            self.targets.enter(self.commands, target);
        }
        // The sky covers what the stones leave.
        let colour = plain_colour(self.targets.view(Target::Light), vk::AttachmentLoadOp::DONT_CARE);
        let depth = cleared_depth(self.targets.view(Target::Depth), vk::AttachmentStoreOp::DONT_CARE);
        {
            let extent = self.targets.extent(Target::Light);
            let pass = Pass::begin(self.device, self.commands, extent, Some(colour), Some(depth));
            pass.pipeline(self.pipelines.stone);
            self.stones(&pass, bound, Eye::Camera);
            pass.pipeline(self.pipelines.sky);
            pass.draw(3, 1);
        }
        self.targets.between(self.commands, Target::Light, DRAWN, SAMPLED);
    }

    /// Draws every stone that is there and seen. Water throws no shadow, and has a pipeline of its own; it comes last.
    fn stones(&self, pass: &Pass<'_>, bound: &Bound, eye: Eye) {
        let layout = self.pipelines.layouts.scene;
        pass.set(layout, 0, bound.set, &bound.offsets);
        let mut draws = MeshDraws::new(pass);
        for (number, first) in self.scene.front_to_back(self.time) {
            let (site, stock) = (&self.scene.sites[number], &self.stocks[number]);
            let Some(stock) = stock else { continue };
            if eye == Eye::Camera {
                pass.set(layout, 1, stock.texture.set, &[]);
            }
            match (site.is_water, eye) {
                (true, Eye::Sun) => continue,
                (true, Eye::Camera) => pass.pipeline(self.pipelines.water),
                (false, _) => {}
            }
            let is_seen = |&(number, _): &(u32, _)| self.seen[number as usize].is_by(eye);
            (first..).zip(&stock.meshes).filter(is_seen).for_each(|(number, mesh)| draws.draw(mesh, number));
        }
    }

    /// Halves the picture again and again, and adds up what is left on the way back.
    fn bloom(&self) {
        for level in 0..BLOOM_LEVELS {
            self.targets.enter(self.commands, Target::Bloom(level));
            self.picture(Target::Bloom(level), (self.pipelines.down, level), vk::AttachmentLoadOp::DONT_CARE);
        }
        for level in (0..BLOOM_LEVELS - 1).rev() {
            self.targets.between(self.commands, Target::Bloom(level), SAMPLED, DRAWN);
            self.picture(Target::Bloom(level), (self.pipelines.up, FIRST_UP + level), vk::AttachmentLoadOp::LOAD);
        }
    }

    /// Draws a picture from those of a set.
    fn picture(&self, target: Target, (pipeline, set): (vk::Pipeline, usize), load: vk::AttachmentLoadOp) {
        let colour = plain_colour(self.targets.view(target), load);
        {
            let pass = Pass::begin(self.device, self.commands, self.targets.extent(target), Some(colour), None);
            pass.pipeline(pipeline);
            pass.set(self.pipelines.layouts.picture, 0, self.pipelines.picture_sets[set], &[]);
            pass.draw(3, 1);
        }
        self.targets.between(self.commands, target, DRAWN, SAMPLED);
    }

    /// Draws what light and bloom look like on a screen.
    fn compose(&self) {
        self.targets.enter(self.commands, Target::Picture);
        self.picture(Target::Picture, (self.pipelines.compose, COMPOSE), vk::AttachmentLoadOp::DONT_CARE);
    }

    /// Draws the picture that is shown, with smooth edges, and the overlay over it.
    fn smooth(&self, bound: &Bound, shown: &Shown, screen: vk::Extent2D) {
        barrier(self.device, self.commands, (shown.image, vk::ImageAspectFlags::COLOR), ACQUIRED, DRAWN);
        let colour = plain_colour(shown.view, vk::AttachmentLoadOp::DONT_CARE);
        let pass = Pass::begin(self.device, self.commands, screen, Some(colour), None);
        pass.pipeline(self.pipelines.smooth);
        pass.set(self.pipelines.layouts.picture, 0, self.pipelines.picture_sets[SMOOTH], &[]);
        pass.draw(3, 1);
        pass.pipeline(self.pipelines.overlay);
        pass.set(self.pipelines.layouts.overlay, 0, bound.font, &[]);
        let (buffer, offset, count) = bound.letters;
        pass.vertices(buffer, offset);
        pass.draw(6, count);
    }
}

/// Who looks: the sun sees no textures, and through water.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eye {
    Sun,
    Camera,
}

impl Seen {
    fn is_by(self, eye: Eye) -> bool {
        match eye {
            Eye::Sun => self.by_sun,
            Eye::Camera => self.by_camera,
        }
    }
}

fn cleared_depth(view: vk::ImageView, store: vk::AttachmentStoreOp) -> vk::RenderingAttachmentInfo<'static> {
    let far = vk::ClearDepthStencilValue { depth: 1.0, stencil: 0 };
    vk::RenderingAttachmentInfo::default()
        .image_view(view)
        .image_layout(vk::ImageLayout::DEPTH_ATTACHMENT_OPTIMAL)
        .load_op(vk::AttachmentLoadOp::CLEAR)
        .store_op(store)
        .clear_value(vk::ClearValue { depth_stencil: far })
}

fn plain_colour(view: vk::ImageView, load: vk::AttachmentLoadOp) -> vk::RenderingAttachmentInfo<'static> {
    vk::RenderingAttachmentInfo::default()
        .image_view(view)
        .image_layout(vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL)
        .load_op(load)
        .store_op(vk::AttachmentStoreOp::STORE)
}
