//! Texts with their weighted length and split, edge cases named. Weights and URLs are those of
//! twitter-text 3.1.0, except where a row calls something newer.
//! `cargo test domain::text::table -- --nocapture` prints the table.

use super::{POST_LIMIT, split, weigh};

struct Row {
    name: &'static str,
    text: String,
    suffix: &'static str,
    weight: u32,
    has_url: bool,
    /// Weights of the parts, or what stands in the error.
    parts: Result<&'static [u32], &'static str>,
}

/// A text that is sent as it is.
fn whole(name: &'static str, text: &str, weight: u32) -> Row {
    let parts: &[u32] = Box::leak(Box::new([weight]));
    long(name, text.to_owned(), weight, Ok(parts))
}

/// One with a URL in it.
fn link(name: &'static str, text: &str, weight: u32) -> Row {
    Row {
        has_url: true,
        ..whole(name, text, weight)
    }
}

fn long(
    name: &'static str,
    text: String,
    weight: u32,
    parts: Result<&'static [u32], &'static str>,
) -> Row {
    Row {
        name,
        text,
        suffix: "",
        weight,
        has_url: false,
        parts,
    }
}

fn signed(row: Row) -> Row {
    Row {
        suffix: "^JB",
        ..row
    }
}

fn priced(row: Row) -> Row {
    Row {
        has_url: true,
        ..row
    }
}

fn plain() -> Vec<Row> {
    vec![
        whole("empty", "", 0),
        whole("white space only", " \n\t ", 4),
        whole("Latin", "We are on it.", 13),
        whole("Latin with accents", "Größe, façade, naïve", 20),
        whole("NFD counts as NFC", "Gro\u{308}ße, fac\u{327}ade", 13),
        whole("marks that no NFC takes in", "Z\u{351}\u{36b}\u{343}", 4),
        whole("Cyrillic", "Спасибо за ответ", 16),
        whole("Arabic", "شكرا لك", 7),
        whole("Hebrew with points", "שָׁלוֹם", 7),
        whole("Devanagari", "नमस्ते", 6),
        whole("Georgian, the last light block", "გამარჯობა", 9),
        whole("Hangul NFD counts as NFC", "\u{1112}\u{1161}\u{11ab}", 2),
        whole("Hangul", "안녕하세요", 10),
        whole("Han", "谢谢您的消息", 12),
        whole("kana and full-width stop", "ありがとう。", 12),
        whole("Han beyond the first plane", "𠮷野家", 6),
        whole("Ethiopic is heavy", "ሰላም", 6),
        whole("mathematical letters", "𝒳𝒴", 4),
        whole("typographic quotes and dash", "“It’s” – she said", 17),
        whole("ellipsis is heavy", "Well…", 6),
        whole("no-break and zero width space", "a\u{a0}b\u{200b}c", 5),
        whole("word joiner is heavy", "a\u{2060}b", 4),
        whole(
            "marks of direction",
            "\u{200e}a\u{200f}\u{202b}b\u{202c}",
            10,
        ),
        whole("line breaks", "one\ntwo\r\nthree", 14),
    ]
}

fn emoji() -> Vec<Row> {
    vec![
        whole("emoji", "🥁", 2),
        whole("skin tone", "👍🏽", 2),
        whole("family of joiners", "👨‍👩‍👧‍👦", 2),
        whole("couple of two skin tones (newer than X's list)", "🧑🏻‍❤️‍💋‍🧑🏿", 2),
        whole("a flag, half a flag, no flag", "🇩🇪 🇩 🇩🇩", 10),
        whole("flag of a part of a country", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", 2),
        whole("keycaps with and without selector", "1️⃣ #⃣", 5),
        whole("digit with selector is no keycap", "1\u{fe0f}", 3),
        whole("heart with selector", "❤️", 2),
        whole("text selector counts", "☺\u{fe0e}", 4),
        whole("copyright as text and as emoji", "© ©\u{fe0f}", 4),
        whole("two skin tones on one hand", "👍🏽🏽", 4),
        whole("joiner that joins nothing", "🥁\u{200d}", 3),
        whole("emoji newer than X's list", "🫶🏾", 2),
    ]
}

fn links() -> Vec<Row> {
    vec![
        link("short URL counts 23", "http://a.de", 23),
        link(
            "long URL counts 23",
            "https://www.example.com/a/very/long/path?with=a&query=in#it",
            23,
        ),
        link("bare domain", "see example.com", 27),
        link("country domain", "see example.co.uk or t.co", 54),
        link("capital letters", "HTTPS://EXAMPLE.COM", 23),
        link("punctuation around", "(example.com), \"example.org\".", 53),
        link("full stop after a path", "http://example.com/a.", 24),
        link("balanced parentheses", "http://example.com/a_(b_(c)) ", 24),
        link(
            "parenthesis that closes the sentence",
            "(http://example.com/a)",
            25,
        ),
        link(
            "port, query and fragment",
            "http://example.com:8080/a?b=c&d#e",
            23,
        ),
        link("bare domain with port", "example.com:80", 26),
        link("bare domain with query", "example.com?a=b", 27),
        link("IDN", "http://müller.de and http://例え.jp", 51),
        link(
            "IDN without protocol counts as text",
            "例え.jp example.中国",
            31,
        ),
        link("Cyrillic domain with protocol", "http://пример.рф/путь", 23),
        link("punycode", "http://xn--mller-kva.de", 23),
        link(
            "between CJK",
            "詳細はhttps://example.com/aをご覧ください",
            43,
        ),
        link("accents before a bare domain", "éexample.com", 24),
        link("t.co ends after its slug", "https://t.co/abc123/more", 28),
        link("underscore in a subdomain", "http://a_b.example.com", 23),
        link("top-level domain newer than X's list", "example.music", 23),
        link(
            "top-level domain outside the root zone",
            "http://abc.onion",
            23,
        ),
        link("file name", "see main.rs", 27),
        link("no space between sentences", "I will.It is", 28),
        whole("underscore in a domain", "http://a_b.com", 14),
        whole("mail address", "joe@example.com", 15),
        whole("unknown top-level domain", "http://example.invalid", 22),
        whole(
            "file name, version, abbreviations",
            "main.c 1.2.3 e.g. a.m.",
            22,
        ),
        whole(
            "label over 63 characters",
            &format!("http://{}.com", "x".repeat(64)),
            75,
        ),
        whole("host without a dot", "http://localhost/a", 18),
        whole("mention, hashtag, cashtag", "@jack #tag $TWTR", 16),
    ]
}

fn words(count: usize) -> String {
    vec!["abcdefghi"; count].join(" ")
}

fn edges() -> Vec<Row> {
    vec![
        whole("280 exactly", &"a".repeat(280), 280),
        long("281 of one word", "a".repeat(281), 281, Ok(&[280, 9])),
        long("281 of words", words(28) + " a", 281, Ok(&[273, 15])),
        whole("140 glyphs of Han", &"字".repeat(140), 280),
        long("141 glyphs of Han", "字".repeat(141), 282, Ok(&[280, 10])),
        long(
            "281 with a combining mark",
            "a".repeat(280) + "e\u{301}",
            281,
            Ok(&[280, 9]),
        ),
        whole("280 of NFD", &"e\u{301}".repeat(280), 280),
        long("281 of NFD", "e\u{301}".repeat(281), 281, Ok(&[280, 9])),
        long("families of emoji", "👨‍👩‍👧‍👦".repeat(141), 282, Ok(&[280, 10])),
        signed(long(
            "suffix fits exactly",
            "a".repeat(276),
            276,
            Ok(&[280]),
        )),
        signed(long(
            "suffix over the edge takes a word along",
            words(27) + " abcdefgh",
            278,
            Ok(&[273, 16]),
        )),
        signed(long(
            "suffix over the edge tears a word",
            "a".repeat(277),
            277,
            Ok(&[280, 9]),
        )),
        long(
            "line breaks at the break go",
            words(27) + "\n\n" + &words(2),
            290,
            Ok(&[273, 23]),
        ),
        long(
            "white space inside stays",
            words(2) + "\n\n  " + &words(27),
            292,
            Ok(&[276, 23]),
        ),
        long(
            "no break at no-break space",
            words(27) + " abcd\u{a0}efghijk",
            282,
            Ok(&[273, 16]),
        ),
    ]
}

fn splits() -> Vec<Row> {
    let url = "https://example.com/path";
    vec![
        priced(long(
            "URL at the edge moves whole",
            words(26) + " " + url,
            283,
            Ok(&[263, 27]),
        )),
        priced(long(
            "URL inside Han moves whole",
            "字".repeat(130) + url + &"字".repeat(10),
            303,
            Ok(&[264, 47]),
        )),
        long(
            "mention at the edge moves whole",
            words(27) + " @abcdefghijklmno",
            286,
            Ok(&[273, 20]),
        ),
        long(
            "hashtag inside Han stays whole",
            "字".repeat(135) + "、#タグタグ 字",
            284,
            Ok(&[276, 16]),
        ),
        long(
            "mail address inside Han stays whole",
            "字".repeat(134) + "joe@example.com" + "字",
            285,
            Ok(&[272, 21]),
        ),
        long("9 parts", "字".repeat(138 * 9), 2484, Ok(&[280; 9])),
        long(
            "10 parts",
            "字".repeat(138 * 9 + 1),
            2486,
            Ok(&[279, 279, 279, 279, 279, 279, 279, 279, 279, 26]),
        ),
        long(
            "25 parts",
            "a".repeat(9 * 275 + 16 * 274),
            6859,
            Ok(&[280; 25]),
        ),
        long(
            "26 parts",
            "a".repeat(9 * 275 + 16 * 274 + 1),
            6860,
            Err("more than 25 parts"),
        ),
        long(
            "hashtag longer than a part",
            "#".to_owned() + &"a".repeat(300),
            301,
            Err("does not fit"),
        ),
        long(
            "a character of too many marks",
            "a".to_owned() + &"\u{334}".repeat(300),
            301,
            Err("does not fit"),
        ),
        long(
            "white space only, too much of it",
            " ".repeat(300),
            300,
            Ok(&[0]),
        ),
    ]
}

fn told(parts: &Result<Vec<String>, super::CannotSplit>) -> String {
    let short = |part: &String| {
        let length = part.chars().count();
        let end: String = part.chars().skip(length.saturating_sub(14)).collect();
        format!("{} {:?}", weigh(part).weight, end)
    };
    match parts {
        Ok(parts) => parts.iter().map(short).collect::<Vec<_>>().join("  "),
        Err(error) => error
            .to_string()
            .chars()
            .rev()
            .take(24)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
    }
}

#[test]
fn weights_and_splits_are_as_x_counts_them() {
    let rows: Vec<Row> = [plain(), emoji(), links(), edges(), splits()]
        .into_iter()
        .flatten()
        .collect();
    assert!(rows.len() >= 60);
    println!(
        "{:<48} {:>6} {:<4} parts: weight, end",
        "text", "weight", "URL"
    );
    let mut wrong = Vec::new();
    for row in &rows {
        let weighed = weigh(&row.text);
        let parts = split(&row.text, row.suffix, POST_LIMIT);
        let url = if weighed.has_url { "URL" } else { "" };
        println!(
            "{:<48} {:>6} {:<4} {}",
            row.name,
            weighed.weight,
            url,
            told(&parts)
        );
        let weights = parts.map(|parts| {
            parts
                .iter()
                .map(|part| weigh(part).weight)
                .collect::<Vec<_>>()
        });
        let is_right = match (&weights, row.parts) {
            (Ok(found), Ok(wanted)) => found == wanted,
            (Err(found), Err(wanted)) => found.to_string().contains(wanted),
            _ => false,
        };
        if !is_right || (weighed.weight, weighed.has_url) != (row.weight, row.has_url) {
            wrong.push(format!(
                "{}: {weighed:?} {weights:?}, wanted {} {} {:?}",
                row.name, row.weight, row.has_url, row.parts
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
