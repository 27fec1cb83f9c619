//! Titles and descriptions of models, put together from parts.

use std::fmt::Write as _;

use fastrand::Rng;

const MANNERS: [&str; 24] = [
    "Low-poly",
    "Articulated",
    "Modular",
    "Print-in-place",
    "Hollow",
    "Miniature",
    "Foldable",
    "Magnetic",
    "Geometric",
    "Voronoi",
    "Parametric",
    "Stackable",
    "Wall-mounted",
    "Snap-fit",
    "Vintage",
    "Gothic",
    "Art déco",
    "Minimalist",
    "Steampunk",
    "Weatherproof",
    "Flexible",
    "Hand-sculpted",
    "Scanned",
    "Oversized",
];

const THINGS: [&str; 40] = [
    "dragon",
    "planter",
    "desk lamp",
    "chess set",
    "gear box",
    "cable holder",
    "fox",
    "lighthouse",
    "spool rack",
    "owl",
    "bike mount",
    "rocket",
    "castle tower",
    "vase",
    "phone stand",
    "turtle",
    "coin bank",
    "camera rig",
    "drone frame",
    "bookend",
    "puzzle cube",
    "pen holder",
    "octopus",
    "tool box",
    "marble run",
    "bird feeder",
    "keyboard case",
    "mask",
    "dice tower",
    "soap dish",
    "windmill",
    "robot arm",
    "train wagon",
    "hinge",
    "astronaut",
    "skull",
    "kitchen hook",
    "headphone stand",
    "moon globe",
    "whale",
];

const OPENINGS: [&str; 8] = [
    "Designed for everyday use and tested on three different printers.",
    "A weekend project that grew into a small series.",
    "Sculpted from photographs and cleaned up by hand.",
    "My most requested model, redrawn from scratch.",
    "Made for a friend's workshop and now open to everyone.",
    "The second version, after a year of feedback.",
    "A classic shape with a few modern changes.",
    "Drawn in a parametric tool, so every measure can be changed.",
];

const DETAILS: [&str; 10] = [
    "Prints without supports at 0.2 mm layer height.",
    "All parts fit on a 180 × 180 mm bed.",
    "Needs four M3 × 12 screws and one 608 bearing.",
    "Walls are 1.6 mm thick, which stands up to daily handling.",
    "The archive holds STL, STEP and 3MF files.",
    "Comes in two sizes, and scales well between 60 % and 150 %.",
    "Textures are 4096 × 4096 pixels, with normal and roughness maps.",
    "The mesh is watertight and has fewer than 80,000 triangles.",
    "Print the moving parts slowly, and let the bed cool before removing them.",
    "An assembly guide with pictures is part of the download.",
];

const LICENCES: [&str; 4] = [
    "For personal use; ask before selling prints.",
    "Prints may be sold, the files may not.",
    "Please show me your prints.",
    "Free updates for everyone who bought it.",
];

/// A title, such as `Articulated dragon` or `Low-poly fox, no. 7`.
pub(super) fn title(rng: &mut Rng) -> String {
    let mut title = format!("{} {}", pick(&MANNERS, rng), pick(&THINGS, rng));
    if rng.u8(..3) == 0 {
        // Writing to a String cannot fail.
        let _ = write!(title, ", no. {}", rng.u8(2..30));
    }
    title
}

/// A description of two to six sentences.
pub(super) fn description(rng: &mut Rng) -> String {
    let mut description = pick(&OPENINGS, rng).to_owned();
    let first = rng.usize(..DETAILS.len());
    for further in 0..rng.usize(..5) {
        description.push(' ');
        description.push_str(DETAILS[(first + further) % DETAILS.len()]);
    }
    description.push(' ');
    description.push_str(pick(&LICENCES, rng));
    description
}

fn pick<'a>(parts: &[&'a str], rng: &mut Rng) -> &'a str {
    parts[rng.usize(..parts.len())]
}
