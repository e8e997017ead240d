// SPDX-License-Identifier: Apache-2.0
// Where characters lie on keyboards, to type text into a guest: it hears of keys, and its own layout makes characters of them.
// The last row (AltGr) has ASCII and the euro only, as systems differ in the rest; a combining accent is a dead key.

export interface Layout {
  name: string;
  rows: readonly [plain: string, shift: string, altgr: string];
}
export interface Stroke {
  code: string; // KeyboardEvent.code
  shift: boolean;
  altgr: boolean;
}

/** In the order of the rows. */
const CODES = ("Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal KeyQ KeyW KeyE KeyR KeyT KeyY KeyU "
  + "KeyI KeyO KeyP BracketLeft BracketRight KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backslash IntlBackslash "
  + "KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash").split(" ");
const OTHERS: Record<string, string> = { " ": "Space", "\n": "Enter", "\t": "Tab" };
/** Accents that stand alone, and the dead keys that make them before a space. */
const ALONE: Record<string, string> = { "`": "\u0300", "´": "\u0301", "^": "\u0302", "~": "\u0303", "¨": "\u0308" };

export const layouts: Record<string, Layout> = {
  us: { name: "English (US)", rows: [
    "`1234567890-=qwertyuiop[]asdfghjkl;'\\<zxcvbnm,./",
    "~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"|>ZXCVBNM<>?",
    "                                     |",
  ] },
  gb: { name: "English (UK)", rows: [
    "`1234567890-=qwertyuiop[]asdfghjkl;'#\\zxcvbnm,./",
    "¬!\"£$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~|ZXCVBNM<>?",
    "|   €  {[]}\\ @          \u0303           \u0300|",
  ] },
  be: { name: "Belgian", rows: [
    "²&é\"'(§è!çà)-azertyuiop\u0302$qsdfghjklmùµ<wxcvbn,;:=",
    "³1234567890°_AZERTYUIOP\u0308*QSDFGHJKLM%£>WXCVBN?./+",
    " |@#  ^{[{}\\ @ €       []           \u0300\\         \u0303",
  ] },
  dk: { name: "Danish", rows: [
    "½1234567890+\u0301qwertyuiopå\u0308asdfghjklæø'<zxcvbnm,.-",
    "§!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLÆØ*>ZXCVBNM;:_",
    "  @ $  {[]} |@ €        \u0303            \\",
  ] },
  fi: { name: "Finnish, Swedish", rows: [
    "§1234567890+\u0301qwertyuiopå\u0308asdfghjklöä'<zxcvbnm,.-",
    "½!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLÖÄ*>ZXCVBNM;:_",
    "  @ $  {[]}\\   €        \u0303            |",
  ] },
  fr: { name: "French", rows: [
    "²&é\"'(-è_çà)=azertyuiop\u0302$qsdfghjklmù*<wxcvbn,;:!",
    "~1234567890°+AZERTYUIOP\u0308£QSDFGHJKLM%µ>WXCVBN?./§",
    "  ~#{[|`\\^@]}  €         @          \u0300|",
  ] },
  de: { name: "German", rows: [
    "\u03021234567890ß\u0301qwertzuiopü+asdfghjklöä#<yxcvbnm,.-",
    "°!\"§$%&/()=?\u0300QWERTZUIOPÜ*ASDFGHJKLÖÄ'>YXCVBNM;:_",
    "       {[]}\\ @ €        ~            |",
  ] },
  it: { name: "Italian", rows: [
    "\\1234567890'ìqwertyuiopè+asdfghjklòàù<zxcvbnm,.-",
    "|!\"£$%&/()=?^QWERTYUIOPé*ASDFGHJKLç°§>ZXCVBNM;:_",
    "       {[]}`~@ €       []         @#\u0300",
  ] },
  no: { name: "Norwegian", rows: [
    "|1234567890+\\qwertyuiopå\u0308asdfghjkløæ'<zxcvbnm,.-",
    "§!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLØÆ*>ZXCVBNM;:_",
    "  @ $  {[]}  @ €        \u0303",
  ] },
  pt: { name: "Portuguese", rows: [
    "\\1234567890'«qwertyuiop+\u0301asdfghjklçº\u0303<zxcvbnm,.-",
    "|!\"#$%&/()=?»QWERTYUIOP*\u0300ASDFGHJKLÇª\u0302>ZXCVBNM;:_",
    "  @    {[]}\\ @ €        \u0303           \u0300\\",
  ] },
  br: { name: "Portuguese (Brazil)", rows: [
    "'1234567890-=qwertyuiop\u0301[asdfghjklç\u0303]\\zxcvbnm,.;",
    "\"!@#$%\u0308&*()_+QWERTYUIOP\u0300{ASDFGHJKLÇ\u0302}|ZXCVBNM<>:",
    "       {[]}\\ /?                    ~",
  ] },
  es: { name: "Spanish", rows: [
    "º1234567890'¡qwertyuiop\u0300+asdfghjklñ\u0301ç<zxcvbnm,.-",
    "ª!\"·$%&/()=?¿QWERTYUIOP\u0302*ASDFGHJKLÑ\u0308Ç>ZXCVBNM;:_",
    "\\|@#~  {[]}\\ @ €       []         \u0303{}|",
  ] },
  ch: { name: "Swiss German", rows: [
    "§1234567890'\u0302qwertzuiopü\u0308asdfghjklöä$<yxcvbnm,.-",
    "°+\"*ç%&/()=?\u0300QWERTZUIOPè!ASDFGHJKLéà£>YXCVBNM;:_",
    " |@#   | ]} \u0303@ €       []          {}\\",
  ] },
};

function key(layout: Layout, character: string): Stroke | undefined {
  if (OTHERS[character]) return { code: OTHERS[character], shift: false, altgr: false };
  for (const [level, row] of layout.rows.entries()) {
    const at = row.indexOf(character);
    if (at >= 0) return { code: CODES[at]!, shift: level === 1, altgr: level === 2 };
  }
  return undefined;
}

function keys(layout: Layout, character: string): Stroke[] | undefined {
  const one = key(layout, character);
  if (one) return [one];
  const [letter, accent, more] = ALONE[character] ? [" ", ALONE[character]] : character.normalize("NFD");
  if (!accent || more) return undefined;
  const dead = key(layout, accent), base = key(layout, letter!);
  return dead && base && [dead, base];
}

/** What to press for `text`, and the characters of it that the layout has no keys for. */
export function strokes(layout: Layout, text: string): { strokes: Stroke[]; missing: string[] } {
  const found: Stroke[] = [], missing = new Set<string>();
  for (const character of text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").normalize("NFC")) {
    const way = keys(layout, character);
    if (way) found.push(...way);
    else missing.add(character);
  }
  return { strokes: found, missing: [...missing] };
}
