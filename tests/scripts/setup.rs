//! `scripts/vulkan-setup` and `scripts/with-driver`: what can be had is there, however much else cannot, and what is
//! not whole passes for nothing.

use std::fs;

use crate::place::{Place, Ran};

const LIBRARIES: [&str; 3] = ["libvk_swiftshader.so", "libVkICD_mock_icd.so", "libVkLayer_khronos_validation.so"];
const LAYER: &str = "VkLayer_khronos_validation.json";
const SYSTEM_LAYER: &str = "system/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json";

/// A Debian where lavapipe and the older layers are installed and nothing else is; the network works, and root is
/// there.
fn place(name: &str) -> Place {
    let place = Place::new(name, &[]);
    for script in ["vulkan-setup", "with-driver"] {
        let file = format!("{}/scripts/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut text = fs::read_to_string(file).expect("the script");
        assert!(
            text.contains("/usr/share/vulkan/explicit_layer.d"),
            "{script} looks for the system's layers elsewhere"
        );
        for (folder, own) in [("/usr/share/vulkan", "share/vulkan"), ("/etc/", "etc/")] {
            text = text.replace(folder, &format!("{}/system/{own}", place.path("").display()));
        }
        place.write(&format!("scripts/{script}"), &text);
    }
    place.write("system/etc/os-release", "VERSION_CODENAME=quarry\n");
    place.write("system/share/vulkan/icd.d/lvp_icd.quarry.json", "{}");
    place.write(SYSTEM_LAYER, "{\"library_path\": \"libold.so\", \"api_version\": \"1.3.0\"}\n");
    place.plays("id", "echo 0");
    for program in ["cc", "dpkg-deb"] {
        place.plays(program, "");
    }
    place.plays("dpkg", "exit 1");
    place.plays("dpkg-query", "case $* in *libvulkan1 | *mesa* | *layers) echo installed ;; *) exit 1 ;; esac");
    place.plays("apt-cache", "echo \"$2 | 1 | a mirror\"");
    place.plays("apt-get", "case $* in *download*) touch a.deb ;; esac");
    place.plays("tar", "for name in $(cat \"$PLACE/package\"); do echo \"all of $name\" >$name; done");
    place.write("package", &LIBRARIES.join("\n"));
    place
}

fn set_up(place: &Place) -> Ran {
    let ran = place.run("vulkan-setup", &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Holds that lavapipe can be chosen, and some others.
fn assert_drivers(place: &Place, ran: &Ran, names: &str) {
    assert!(ran.out.ends_with(&format!("vulkan-setup: drivers: {names}\n")), "{ran:?}");
    for name in names.split(' ') {
        let ran = place.run("with-driver", &[name, "--layers", "old", "bash", "-c", "echo $VK_DRIVER_FILES"]);
        assert!(ran.code == Some(0) && ran.out.ends_with(&format!("/.vulkan/icd/{name}.json\n")), "{ran:?}");
    }
}

#[test]
fn all_that_can_be_had_is_there() {
    let place = place("all");
    assert_drivers(&place, &set_up(&place), "lavapipe mock swiftshader");
    let layer = place.read(&format!(".vulkan/layers-new/{LAYER}"));
    assert!(layer.contains("/.vulkan/chromium/libVkLayer_khronos_validation.so\""), "{layer}");
    let ran = place.run("with-driver", &["mock", "--layers", "new", "bash", "-c", "echo $VK_LAYER_PATH"]);
    assert!(ran.code == Some(0) && ran.out.ends_with("/.vulkan/layers-new\n"), "{ran:?}");
    let before = place.count("apt-get -q");
    set_up(&place);
    assert_eq!(place.count("apt-get -q"), before, "it was fetched");
}

#[test]
fn without_root_there_is_lavapipe() {
    let place = place("root");
    place.plays("id", "echo 1000");
    let ran = set_up(&place);
    assert!(
        ran.says("MISSING: neither root nor sudo, so this was not run: env ") && ran.says("apt-get install"),
        "{ran:?}"
    );
    assert_eq!((place.count("apt-get install"), place.count("apt-get update")), (0, 0));
    assert_drivers(&place, &ran, "lavapipe mock swiftshader");
}

#[test]
fn without_network_there_is_lavapipe() {
    let place = place("network");
    place.plays("apt-get", "exit 100");
    // With package lists, and with none.
    for offers in ["echo \"$2 | 1 | a mirror\"", ""] {
        place.plays("apt-cache", offers);
        let ran = set_up(&place);
        assert_drivers(&place, &ran, "lavapipe");
        assert!(ran.says("MISSING: windows ") && ran.says("MISSING: SwiftShader: "), "{ran:?}");
    }
    let ran = place.run("with-driver", &["swiftshader", "true"]);
    assert!(ran.code == Some(77) && ran.says("SKIPPED: no driver swiftshader"), "{ran:?}");
}

#[test]
fn without_one_package_for_windows_there_is_the_rest() {
    let place = place("windows");
    place.plays("dpkg-query", "exit 1");
    place.plays("apt-get", "case $* in *libxcursor1*) exit 100 ;; *download*) touch a.deb ;; esac");
    let ran = set_up(&place);
    assert!(ran.says("MISSING: windows ") && !ran.says("MISSING: the loader"), "{ran:?}");
    let loader = "apt-get install -y -q --no-install-recommends libvulkan1 mesa-vulkan-drivers vulkan-validationlayers";
    assert_eq!(place.calls().iter().filter(|call| *call == loader).count(), 1, "{:?}", place.calls());
    assert_drivers(&place, &ran, "lavapipe mock swiftshader");
}

/// What was half fetched when the setup was killed has no name under which anybody looks for it, and is fetched again.
#[test]
fn a_setup_that_was_killed_is_taken_up() {
    for library in LIBRARIES {
        let place = place(&format!("killed-{library}"));
        let half = "echo half >\"$2\"; kill -KILL $PPID";
        let answer = format!("case $1 in */{library}) {half} ;; *) command -p cp \"$@\" ;; esac");
        place.plays("cp", &answer);
        let ran = place.run("vulkan-setup", &[]);
        assert_eq!(ran.code, None, "{ran:?}");
        assert!(!place.path(&format!(".vulkan/chromium/{library}")).exists(), "half of it passes for all of it");
        place.plays("cp", "command -p cp \"$@\"");
        assert_drivers(&place, &set_up(&place), "lavapipe mock swiftshader");
        for library in LIBRARIES {
            assert_eq!(place.read(&format!(".vulkan/chromium/{library}")), format!("all of {library}\n"));
        }
    }
}

#[test]
fn an_empty_description_is_no_layer() {
    let place = place("layer");
    fs::remove_file(place.path(SYSTEM_LAYER)).expect("it is there");
    let description = format!(".vulkan/layers-new/{LAYER}");
    for before in [None, Some("")] {
        before.inspect(|text| place.write(&description, text));
        let ran = set_up(&place);
        assert!(ran.says("MISSING: the newer validation layer: its description is made"), "{ran:?}");
        assert!(!place.path(&description).exists(), "{}", place.read(&description));
    }
    for (layers, file) in [("new", description.as_str()), ("old", SYSTEM_LAYER)] {
        place.write(file, "");
        let ran = place.run("with-driver", &["lavapipe", "--layers", layers, "true"]);
        assert!(ran.code == Some(77) && ran.says(&format!("SKIPPED: no {layers} validation layers")), "{ran:?}");
    }
}
