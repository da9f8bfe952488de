//! The plots, each a function of the report and of how wide it may be.
//!
//! A plot is SVG without colours of its own: classes say what a thing is, [`theme`] what that looks like on light and on
//! dark ground. On the page the plots are inline; a file of its own carries the theme with it.

mod axis;
mod bars;
mod curve;
mod nodes;
mod rounds;
mod sample;
mod scatter;
mod theme;
mod weights;

use std::fmt::Write as _;

use super::data::Data;
use super::text::escape;

pub(super) use scatter::scatter;
pub(super) use theme::{Ground, rules};

/// How wide a plot is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// As wide as the page.
    Page,
    /// As half the page.
    Half,
    /// As a telephone.
    Narrow,
}

impl Width {
    fn px(self) -> f64 {
        match self {
            Self::Page => 1080.0,
            Self::Half => 524.0,
            Self::Narrow => 354.0,
        }
    }
}

/// A plot, drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plot {
    /// Its name, and its file's.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) title: String,
    /// What it shows, in a sentence, for those who cannot see it.
    pub(super) desc: String,
    width: f64,
    height: f64,
    body: String,
}

/// A plot that can be drawn at any width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Its name, and its file's.
    pub(super) name: &'static str,
    /// How wide it is on a wide page.
    pub(super) wide: Width,
    draw: fn(&Data, Width) -> Plot,
}

/// All plots, in the order of the page.
pub(super) const ALL: [Kind; 9] = [
    Kind { name: "curve", wide: Width::Page, draw: curve::draw },
    Kind { name: "accuracy", wide: Width::Half, draw: nodes::accuracy },
    Kind { name: "participation", wide: Width::Half, draw: nodes::participation },
    Kind { name: "rounds", wide: Width::Page, draw: rounds::draw },
    Kind { name: "bytes", wide: Width::Half, draw: bars::bytes },
    Kind { name: "energy", wide: Width::Half, draw: bars::energy },
    Kind { name: "raster", wide: Width::Page, draw: sample::raster },
    Kind { name: "potentials", wide: Width::Page, draw: sample::potentials },
    Kind { name: "weights", wide: Width::Page, draw: weights::draw },
];

impl Kind {
    /// Draws it.
    #[must_use]
    pub(super) fn draw(&self, data: &Data, width: Width) -> Plot {
        (self.draw)(data, width)
    }

    /// The plot of this name.
    #[must_use]
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|kind| kind.name == name)
    }
}

impl Plot {
    /// As part of a page: `class` also keeps its ids apart from those of the same plot at another width.
    #[must_use]
    pub(super) fn inline(&self, class: &str) -> String {
        let id = format!("{}-{}", self.name, class.replace(' ', "-"));
        format!(
            r#"<svg class="plot {class}" viewBox="0 0 {} {}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{}</title><desc id="{id}-d">{}</desc>{}</svg>"#,
            self.width,
            self.height,
            escape(&self.title),
            escape(&self.desc),
            self.body,
        )
    }

    /// As a file of its own, with its title written above it.
    #[must_use]
    pub(super) fn standalone(&self, ground: Ground) -> String {
        const HEAD: f64 = 46.0;
        let (width, height) = (self.width, self.height + HEAD);
        let title = escape(&self.title);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d"><title id="t">{title}</title><desc id="d">{}</desc><style>{}</style><rect class="p-ground" width="{width}" height="{height}"/><text class="p-head" x="16" y="30">{title}</text><g transform="translate(0 {HEAD})">{}</g></svg>
"#,
            escape(&self.desc),
            ground.style(),
            self.body,
        )
    }
}

/// What a plot is drawn on.
#[derive(Debug)]
struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

/// A rectangle of a canvas.
#[derive(Clone, Copy, Debug)]
struct Pane {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Canvas {
    fn new(width: Width, height: f64) -> Self {
        Self { width: width.px(), height, body: String::new() }
    }

    /// All of it within margins: top, right, bottom, left.
    fn pane(&self, [top, right, bottom, left]: [f64; 4]) -> Pane {
        Pane { left, right: self.width - right, top, bottom: self.height - bottom }
    }

    fn text(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        put(
            &mut self.body,
            format_args!(
                r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
            ),
        );
    }

    fn line(&mut self, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
        put(
            &mut self.body,
            format_args!(
                r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
            ),
        );
    }

    /// A rectangle, with a tip where there is something to say.
    fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4], tip: &str) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        let body = &mut self.body;
        put(
            body,
            format_args!(
                r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}""#
            ),
        );
        if tip.is_empty() {
            body.push_str("/>");
        } else {
            put(body, format_args!("><title>{}</title></rect>", escape(tip)));
        }
    }

    fn polyline(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        put(&mut self.body, format_args!(r#"<polyline class="{class}" points=""#));
        for (index, (x, y)) in points.enumerate() {
            let space = if index == 0 { "" } else { " " };
            put(&mut self.body, format_args!("{space}{x:.1},{y:.1}"));
        }
        self.body.push_str("\"/>");
    }

    fn path(&mut self, class: &str, d: &str) {
        put(&mut self.body, format_args!(r#"<path class="{class}" d="{d}"/>"#));
    }

    fn dot(&mut self, class: &str, [x, y, r]: [f64; 3], tip: &str) {
        put(
            &mut self.body,
            format_args!(
                r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{r}"><title>{}</title></circle>"#,
                escape(tip)
            ),
        );
    }

    /// Says in the middle of a pane why it is empty.
    fn empty(&mut self, pane: Pane, why: &str) {
        let Pane { left, right, top, bottom } = pane;
        self.rect("p-void", [left, top, right - left, bottom - top], "");
        self.text(
            "p-note",
            "middle",
            f64::midpoint(left, right),
            f64::midpoint(top, bottom) + 4.0,
            why,
        );
    }

    fn plot(self, name: &'static str, title: String, desc: String) -> Plot {
        let Self { width, height, body } = self;
        Plot { name, title, desc, width, height, body }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

/// A number as a coordinate.
#[expect(clippy::cast_precision_loss, reason = "coordinates of a plot")]
fn float(number: u64) -> f64 {
    number as f64
}

/// A length as a coordinate.
#[expect(clippy::cast_precision_loss, reason = "coordinates of a plot")]
fn len(number: usize) -> f64 {
    number as f64
}
