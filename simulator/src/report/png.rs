//! Plots as PNG, for slides and for programs that read no SVG.
//!
//! The text of a plot is set in a font of the system: the program carries none. Where the system has none (a container of
//! the coordinator alone, say) there are no PNG files, rather than files without text.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};
use thiserror::Error;

/// Pixels per unit of the plot.
const SCALE: f32 = 2.0;
/// Families that are looked for, the first that is there wins.
const FAMILIES: [&str; 7] =
    ["Noto Sans", "DejaVu Sans", "Liberation Sans", "Arial", "Helvetica", "Segoe UI", "Roboto"];

/// Why a plot cannot be drawn.
#[derive(Debug, Error)]
pub(super) enum PngError {
    /// The SVG is not one. A defect of this program.
    #[error("the plot cannot be read: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// It cannot be drawn.
    #[error("the plot cannot be drawn at {width} x {height} pixels: {why}")]
    Draw {
        /// Wanted width.
        width: u32,
        /// Wanted height.
        height: u32,
        /// What is in the way.
        why: String,
    },
}

/// Draws SVG with the system's fonts.
pub(super) struct Painter {
    options: Options<'static>,
}

impl Painter {
    /// A painter; `None` where the system has no font.
    #[must_use]
    pub(super) fn new() -> Option<Self> {
        let mut fonts = Database::new();
        fonts.load_system_fonts();
        let family = FAMILIES
            .into_iter()
            .find(|family| {
                fonts.faces().any(|face| face.families.iter().any(|(name, _)| name == family))
            })
            .map(str::to_owned)
            .or_else(|| fonts.faces().next()?.families.first().map(|(name, _)| name.clone()))?;
        fonts.set_sans_serif_family(family);
        Some(Self { options: Options { fontdb: Arc::new(fonts), ..Options::default() } })
    }

    /// Draws.
    pub(super) fn draw(&self, svg: &str) -> Result<Vec<u8>, PngError> {
        let tree = Tree::from_str(svg, &self.options)?;
        let size = tree.size().to_int_size().scale_by(SCALE);
        let (width, height) = size.map_or((0, 0), |size| (size.width(), size.height()));
        let fail = |why: &str| PngError::Draw { width, height, why: why.to_owned() };
        let mut pixels = Pixmap::new(width, height).ok_or_else(|| fail("no such picture"))?;
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| fail(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, plot};
    use super::*;

    #[test]
    fn every_plot_is_drawn_with_its_text() {
        let Some(painter) = Painter::new() else {
            // Nothing can be said of text without a font; the report says so too, by having no PNG.
            return;
        };
        let data = fixture::small();
        for kind in plot::ALL {
            let svg = kind.draw(&data, kind.wide).standalone(plot::Ground::Light);
            let png = Pixmap::decode_png(&painter.draw(&svg).unwrap()).unwrap();
            let ground = png.pixels()[0];
            let differ = |from: u32, to: u32| {
                let width = usize::try_from(png.width()).unwrap();
                let rows =
                    usize::try_from(from).unwrap() * width..usize::try_from(to).unwrap() * width;
                png.pixels()[rows].iter().filter(|&&pixel| pixel != ground).count()
            };
            assert!(differ(0, 90) > 500, "{}: the title is not there", kind.name);
            assert!(differ(90, png.height()) > 1000, "{}: the plot is not there", kind.name);
        }
    }

    #[test]
    fn what_is_no_svg_is_told() {
        if let Some(painter) = Painter::new() {
            assert!(
                painter
                    .draw("<svg")
                    .unwrap_err()
                    .to_string()
                    .starts_with("the plot cannot be read")
            );
        }
    }
}
