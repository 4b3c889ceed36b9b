//! The app's icon and the disk image's background, drawn here: a tree trained along a frame, as on the dashboard.

use anyhow::{Context, Result};
use icns::{IconFamily, IconType, Image, PixelFormat};
use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LinearGradient, Paint, PathBuilder, Pixmap, Point,
    PremultipliedColorU8, Rect, Shader, SpreadMode, Stroke, Transform,
};

/// Size of the opened disk image's window, in points.
pub const WINDOW: (u32, u32) = (540, 380);
/// Where the app lies in it, and where it is dragged to.
pub const APP_AT: (u32, u32) = (140, 180);
/// See [`APP_AT`].
pub const APPLICATIONS_AT: (u32, u32) = (400, 180);
/// The sizes that macOS 14 shows: 16 to 512 points, plain and for fine screens. Those of 16 and 32 points at plain
/// density are left out: they would need a format of their own, and the fine ones are scaled.
const ICONS: [IconType; 8] = [
    IconType::RGBA32_16x16_2x,
    IconType::RGBA32_32x32_2x,
    IconType::RGBA32_128x128,
    IconType::RGBA32_128x128_2x,
    IconType::RGBA32_256x256,
    IconType::RGBA32_256x256_2x,
    IconType::RGBA32_512x512,
    IconType::RGBA32_512x512_2x,
];
/// Of the icon's plate, from top to bottom.
const GREEN: [[u8; 3]; 2] = [[0x4f, 0xa8, 0x76], [0x26, 0x63, 0x42]];
/// Trees in the background.
const TREES: u32 = 5;
/// Half of the icon's plate, its distance from the edge and its corner, on Apple's grid of 1024.
const PLATE: (f32, f32, f32) = (1024.0, 100.0, 185.0);

/// `AppIcon.icns`.
pub fn icon() -> Result<Vec<u8>> {
    let mut family = IconFamily::new();
    for kind in ICONS {
        family.add_icon_with_type(&icon_image(kind.pixel_width())?, kind)?;
    }
    let mut bytes = Vec::new();
    family.write(&mut bytes)?;
    Ok(bytes)
}

/// The background picture, as a PNG.
pub fn background() -> Result<Vec<u8>> {
    let mut canvas = canvas(WINDOW.0, WINDOW.1)?;
    let (width, height) = (WINDOW.0 as f32, WINDOW.1 as f32);
    let paint = Paint {
        shader: gradient([[0xfb, 0xfc, 0xfa], [0xdf, 0xea, 0xe1]], 0.0, height)?,
        ..Paint::default()
    };
    let all = Rect::from_xywh(0.0, 0.0, width, height).context("an empty picture")?;
    canvas.fill_rect(all, &paint, Transform::identity(), None);
    // A row of trees along the lower edge, behind the icons' names and out of the arrow's way.
    let faint = Color::from_rgba8(0xcb, 0xdd, 0xd0, 0xff);
    for tree in 0..TREES {
        let middle = width * (tree as f32 + 0.5) / TREES as f32;
        let place = Transform::from_scale(3.2, 3.2).post_translate(middle - 51.2, 255.0);
        draw_tree(&mut canvas, faint, 1.6, place)?;
    }
    draw_arrow(&mut canvas)?;
    let mut bytes = Vec::new();
    image(&canvas)?.write_png(&mut bytes)?;
    Ok(bytes)
}

fn icon_image(size: u32) -> Result<Image> {
    let mut canvas = canvas(size, size)?;
    let (grid, margin, corner) = PLATE;
    let scale = Transform::from_scale(size as f32 / grid, size as f32 / grid);
    let paint = Paint {
        shader: gradient(GREEN, margin, grid - margin)?,
        anti_alias: true,
        ..Paint::default()
    };
    let square = rounded_square(margin, grid - margin, corner)?;
    canvas.fill_path(&square, &paint, FillRule::Winding, scale, None);
    // The tree's own grid is 32 wide; it fills the plate's middle.
    let place = scale.pre_translate(208.0, 208.0).pre_scale(19.0, 19.0);
    draw_tree(&mut canvas, Color::WHITE, 2.5, place)?;
    image(&canvas)
}

/// From one color at the top to the other at the bottom.
fn gradient(colors: [[u8; 3]; 2], top: f32, bottom: f32) -> Result<Shader<'static>> {
    let [first, last] = colors.map(|[red, green, blue]| Color::from_rgba8(red, green, blue, 0xff));
    let stops = vec![GradientStop::new(0.0, first), GradientStop::new(1.0, last)];
    let (from, to) = (Point::from_xy(0.0, top), Point::from_xy(0.0, bottom));
    LinearGradient::new(from, to, stops, SpreadMode::Pad, Transform::identity())
        .context("the gradient has no length")
}

fn rounded_square(low: f32, high: f32, corner: f32) -> Result<tiny_skia::Path> {
    let mut path = PathBuilder::new();
    // A quarter of a circle as one cubic curve.
    let curve = corner * 0.552_284_8;
    let (near, far) = (low + corner, high - corner);
    path.move_to(near, low);
    path.line_to(far, low);
    path.cubic_to(far + curve, low, high, near - curve, high, near);
    path.line_to(high, far);
    path.cubic_to(high, far + curve, far + curve, high, far, high);
    path.line_to(near, high);
    path.cubic_to(near - curve, high, low, far + curve, low, far);
    path.line_to(low, near);
    path.cubic_to(low, near - curve, near - curve, low, near, low);
    path.close();
    path.finish().context("an empty path")
}

/// A trunk and two pairs of branches, each trained outwards and up.
fn draw_tree(canvas: &mut Pixmap, color: Color, width: f32, place: Transform) -> Result<()> {
    let mut path = PathBuilder::new();
    path.move_to(16.0, 29.0);
    path.line_to(16.0, 4.0);
    for (height, reach) in [(24.0, 10.0), (15.0, 8.0)] {
        for side in [-1.0, 1.0] {
            let tip = 16.0 + side * reach;
            path.move_to(16.0, height);
            path.line_to(tip - side * 3.0, height);
            path.quad_to(tip, height, tip, height - 3.0);
            path.line_to(tip, height - 6.0);
        }
    }
    stroke(canvas, path, color, width, place)
}

fn draw_arrow(canvas: &mut Pixmap) -> Result<()> {
    let mut path = PathBuilder::new();
    let (middle, from, to) = (APP_AT.1 as f32, 232.0, 304.0);
    path.move_to(from, middle);
    path.line_to(to, middle);
    path.move_to(to - 16.0, middle - 16.0);
    path.line_to(to, middle);
    path.line_to(to - 16.0, middle + 16.0);
    let color = Color::from_rgba8(0x3d, 0x8b, 0x5f, 0xff);
    stroke(canvas, path, color, 6.0, Transform::identity())
}

fn stroke(
    canvas: &mut Pixmap,
    path: PathBuilder,
    color: Color,
    width: f32,
    place: Transform,
) -> Result<()> {
    let mut paint = Paint::default();
    paint.set_color(color);
    let line = Stroke {
        width,
        line_cap: LineCap::Round,
        ..Stroke::default()
    };
    let path = path.finish().context("an empty path")?;
    canvas.stroke_path(&path, &paint, &line, place, None);
    Ok(())
}

fn canvas(width: u32, height: u32) -> Result<Pixmap> {
    Pixmap::new(width, height).context("an empty picture")
}

fn image(canvas: &Pixmap) -> Result<Image> {
    let (width, height) = (canvas.width(), canvas.height());
    let pixels: Vec<u8> = canvas
        .pixels()
        .iter()
        .map(PremultipliedColorU8::demultiply)
        .flat_map(|color| [color.red(), color.green(), color.blue(), color.alpha()])
        .collect();
    Ok(Image::from_data(PixelFormat::RGBA, width, height, pixels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_has_every_size_and_a_tree_on_a_plate() {
        let family = IconFamily::read(icon().unwrap().as_slice()).unwrap();
        assert_eq!(family.available_icons().len(), ICONS.len());
        for kind in ICONS {
            let image = family.get_icon_with_type(kind).unwrap();
            let size = kind.pixel_width() as usize;
            let pixel = |x: usize, y: usize| &image.data()[4 * (y * size + x)..][..4];
            assert_eq!(pixel(0, 0)[3], 0, "the corner is empty");
            let trunk = pixel(size / 2, size / 2);
            assert!(trunk.iter().all(|part| *part > 200), "the trunk is white");
            let plate = pixel(size / 5, size / 2);
            assert!(
                plate[1] > plate[0] && plate[3] == 0xff,
                "the plate is green"
            );
        }
    }
}
