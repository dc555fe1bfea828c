
/// The growth constants, from `FREESTONE_GROWTH`: first block in KiB, multiple of the request, three borders in MiB.
struct Constants {
    first: u64,
    multiple: u64,
    brackets: [(u64, u64); 4],
}

fn constants() -> &'static Constants {
    static CONSTANTS: std::sync::OnceLock<Constants> = std::sync::OnceLock::new();
    CONSTANTS.get_or_init(|| {
        let text = std::env::var("FREESTONE_GROWTH").expect("the growth constants are given");
        let numbers: Vec<u64> = text.split(',').map(|number| number.parse().expect("a number")).collect();
        let [first, multiple, one, two, three] = numbers[..] else { panic!("five numbers, not {text}") };
        let brackets = [(one << 20, 2), (two << 20, 4), (three << 20, 8), (u64::MAX, 16)];
        Constants { first: first << 10, multiple, brackets }
    })
}
