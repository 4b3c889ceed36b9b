//! The tray's pictures. On macOS the system colours a template image; elsewhere a grey that is seen on light and dark.

use tauri::image::Image;

use crate::tray::menu::Icon;

/// Seen on a white and on a black panel alike.
const GREY: u8 = 0x8c;

/// Whether the system colours the picture itself.
pub(crate) const IS_TEMPLATE: bool = cfg!(target_os = "macos");

/// The picture of a state.
pub(crate) fn picture(icon: Icon) -> tauri::Result<Image<'static>> {
    let png: &[u8] = match icon {
        Icon::Alone => include_bytes!("../icons/alone.png"),
        Icon::Joined => include_bytes!("../icons/joined.png"),
        Icon::Serving => include_bytes!("../icons/serving.png"),
        Icon::Working => include_bytes!("../icons/working.png"),
        Icon::Trouble => include_bytes!("../icons/trouble.png"),
    };
    let black = Image::from_bytes(png)?;
    if IS_TEMPLATE {
        return Ok(black);
    }
    let grey = grey(black.rgba());
    Ok(Image::new_owned(grey, black.width(), black.height()))
}

/// The same shape in grey; `rgba` is four bytes for each pixel.
fn grey(rgba: &[u8]) -> Vec<u8> {
    let (pixels, _) = rgba.as_chunks::<4>();
    let pixel = |[_, _, _, alpha]: &[u8; 4]| [GREY, GREY, GREY, *alpha];
    pixels.iter().flat_map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_picture() {
        let all = [
            Icon::Alone,
            Icon::Joined,
            Icon::Serving,
            Icon::Working,
            Icon::Trouble,
        ];
        let pictures = all.map(|icon| picture(icon).unwrap().rgba().to_vec());
        for (index, picture) in pictures.iter().enumerate() {
            assert_eq!(picture.len(), 44 * 44 * 4);
            assert!(!pictures[..index].contains(picture));
        }
    }
}
