// Regular expressions in Python's syntax as JavaScript's: what patterns of chatbots use, and no more.

import { BundleError } from "./errors.js";

// Python's classes are Unicode's; JavaScript's \w, \d and \b know ASCII only. Where case does not
// matter, three characters stay different: the mark U+0345 is the letter iota, Turkish U+0130 and U+0131 are no i.
const WORD = "\\p{L}\\p{N}_";
const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
/** @type {Record<string, string>} */
const IN_BRACKETS = { d: "\\p{Nd}", D: "\\P{Nd}", w: WORD, s: BLANK, W: `[^${WORD}]`, S: `[^${BLANK}]` };
/** @type {Record<string, string>} */
const IN_TEXT = {
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  w: `[${WORD}]`,
  W: `[^${WORD}]`,
  s: `[${BLANK}]`,
  S: `[^${BLANK}]`,
  b: `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
  B: `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`,
  A: "(?<![^])",
  Z: "(?![^])",
};
// The same in both languages behind a backslash; other letters are an error.
const SAME = /[nrtfv0-9xu]/;
const NEEDS_ESCAPE = /[\^$\\.*+?()[\]{}|/-]/;
// In this order: an escape, a named group, a reference to one, flags in front, a count without a least, an opening
// bracket, anything else.
const PART = /\\([\s\S])|\(\?P<(\w+)>|\(\?P=(\w+)\)|^\(\?([imsu]+)\)|(\{,(?=\d+\}))|(\[\^?\]?)|([\s\S])/gu;

/**
 * @param {string} pattern in Python's syntax
 * @param {string} name of the feature, for errors
 * @param {boolean} caseSensitive
 */
export function compilePython(pattern, name, caseSensitive) {
  try {
    return translate(pattern, caseSensitive);
  } catch (error) {
    throw new BundleError(
      `The regular expression '${pattern}' of '${name}' cannot be used in JavaScript (${error}). ` +
        "Write it with what both languages know, and train again.",
    );
  }
}

/** @param {string} pattern @param {boolean} caseSensitive */
function translate(pattern, caseSensitive) {
  const flags = new Set(caseSensitive ? "g" : "gi");
  let inside = false;
  let nested = false;
  let refers = false;
  const source = pattern.replace(PART, (part, escaped, group, reference, inline, atMost, opened) => {
    if (escaped !== undefined) {
      nested ||= inside && /[WS]/.test(escaped);
      refers ||= !inside && /[1-9]/.test(escaped);
      return escape(escaped, inside);
    }
    if (inside) {
      inside = !part.endsWith("]"); // a part may be "[]": a bracket, and the one that closes
      const characters = Array.from(inside ? part : part.slice(0, -1));
      const written = characters.map((one) => (NEEDS_ESCAPE.test(one) && one !== "-" ? `\\${one}` : one));
      return written.join("") + (inside ? "" : "]");
    }
    if (group) return `(?<${group}>`;
    if (reference) {
      refers = true;
      return `\\k<${reference}>`;
    }
    if (inline) {
      for (const flag of inline) flags.add(flag);
      return "";
    }
    if (atMost) return "{0,";
    if (opened === undefined) return edge(part, flags) ?? part;
    inside = true;
    return opened.replace("]", "\\]");
  });
  if (refers && /\)[?*]|\)\{0/.test(pattern)) {
    throw new SyntaxError("a reference to a group that may be missing");
  }
  for (const flag of "ums") flags.delete(flag); // u is so anyway, the others are in the source
  // Classes inside of classes need JavaScript's newer flag.
  return new RegExp(source, [...flags].join("") + (nested ? "v" : "u"));
}

/** Lines end at a newline and nowhere else; the end of the text is also before its last newline.
 * @param {string} part @param {Set<string>} flags */
function edge(part, flags) {
  if (part === "]") return "\\]"; // nothing to close
  if (part === ".") return flags.has("s") ? "[^]" : "[^\\n]";
  if (part === "^") return flags.has("m") ? "(?<![^\\n])" : "(?<![^])";
  if (part === "$") return flags.has("m") ? "(?![^\\n])" : "(?=\\n?(?![^]))";
  return undefined;
}

/** @param {string} character behind a backslash @param {boolean} inside of brackets */
function escape(character, inside) {
  const known = (inside ? IN_BRACKETS : IN_TEXT)[character];
  if (known !== undefined) return known;
  if (SAME.test(character)) return `\\${character}`;
  if (/[a-zA-Z]/.test(character)) throw new SyntaxError(`\\${character}`);
  return NEEDS_ESCAPE.test(character) && (inside || character !== "-") ? `\\${character}` : character;
}
