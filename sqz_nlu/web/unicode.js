// Written by scripts/unicode_tables.py from the tokenizers library and Python 3.10: not to be edited.
// The classes of a browser are of another Unicode version.

/** Numbers for code points, most of them 0. */
export class CharacterClass {
  /** @param {string} runs runs of one class: gap, length - 1 and class (1 where missing), in base 36 */
  constructor(runs) {
    const cells = runs.split(" ").map((run) => run.split(",").map((part) => parseInt(part, 36)));
    let position = 0;
    /** @type {{first: number, last: number, kind: number}[]} */
    this.runs = cells.map(([gap, length, kind = 1]) => {
      const first = position + gap;
      position = first + length + 1;
      return { first, last: first + length, kind };
    });
  }

  /** The class of a code point. @param {number} point */
  of(point) {
    let low = 0;
    let high = this.runs.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const run = this.runs[middle];
      if (point < run.first) high = middle - 1;
      else if (point > run.last) low = middle + 1;
      else return run.kind;
    }
    return 0;
  }
}

/** What cleaning drops: controls, formats, U+0000, U+FFFD. */
export const DROPPED = new CharacterClass(
  "0,8 2,1 1,h 2n,w d,0 11u,5 m,0 5c,0 1d,0 3cu,0 1ks,4 q,4 1d,4 1,9 11u8,4xr 16n,0 6x,2 1,0 3b3,0 " +
  "xya,3 43z,7 h406,0 u,2n 1egw,1ekd 2,1ekd",
);

/** Marks that stripping accents drops. */
export const MARK = new CharacterClass(
  "lc,33 7n,4 7d,18 1,0 1,1 1,1 1,0 20,a 1c,k g,0 2t,6 2,5 2,1 1,3 z,0 u,q 2j,a 1m,8 y,3 1,8 1,2 1,4 " +
  "17,2 3r,v 1j,0 1,0 4,7 4,0 3,6 a,1 t,0 1m,0 4,3 8,0 k,1 t,1 1l,0 4,1 4,1 2,2 3,0 u,1 3,0 b,1 1l,0 " +
  "4,4 1,1 4,0 k,1 t,0 1m,0 2,0 1,3 8,0 8,0 b,1 u,0 1p,0 c,0 1e,0 1p,2 5,2 1,3 7,1 b,1 t,0 1m,0 2,0 " +
  "6,0 5,1 k,1 t,0 1r,3 8,0 k,1 2u,0 7,2 1,0 2i,0 2,6 c,7 2q,0 2,5 1,1 b,5 22,1 r,0 1,0 1,0 1j,d 1,4 " +
  "1,1 5,a 1,z 9,0 2u,3 1,5 1,1 2,1 p,1 4,2 g,3 d,0 2,1 6,0 f,0 jj,2 qa,2 t,2 t,1 u,1 1s,1 1,6 8,0 2,a " +
  "9,0 19,2 4b,0 3a,2 4,1 9,0 6,2 63,1 2,0 1m,0 1,6 1,0 1,0 2,7 6,9 2,0 1c,d 1u,3 1c,0 1,4 1,0 5,0 " +
  "14,8 c,1 w,3 2,1 1,2 1k,0 1,1 3,0 1,2 1m,7 2,1 48,2 1,c 1,6 4,0 6,0 3,1 5i,1h 6,3 k0,c 4,0 3,b " +
  "2da,2 3x,0 2o,v fe,3 2z,1 n9w,0 4,9 w,1 28,1 7k,0 3,0 4,0 p,1 4d,0 r,h 1g,7 p,a 1a,2 1c,0 2,3 2,0 " +
  "14,0 1v,5 2,1 2,1 c,0 8,0 1b,0 1f,0 1,2 2,1 5,1 1,0 16,1 8,0 6m,0 2,0 4,0 fn4,0 kh,f g,f r1,0 6a,0 " +
  "45,4 1ae,2 1,1 5,3 14,2 4,0 4l,1 10a,0 1i,e 1k,2 1d,3 2,1 1x,2 10,4 1,7 1q,0 c,1 1g,8 b,2 2q,2 2,0 " +
  "1,1 4n,0 3,7 l,1 1m,0 3,0 11,6 3,4 8u,5 1,0 4,1 1,1 6m,3 6,1 1,1 r,1 2d,7 2,0 1,1 2y,0 1,0 2,5 1,0 " +
  "2t,2 2,3 1,4 gjo,4 1n,6 uw,3 f7u,1 43s,2 h,7 2,6 u,3 44,2 1iz,1i 4,1d 8,0 e,0 m,4 1,e 2sg,6 gzl5,6n",
);

/** What is a word of its own. */
export const PUNCTUATION = new CharacterClass(
  "x,e a,6 q,5 q,3 y,0 5,0 3,0 a,1 3,0 3,0 ji,0 8,0 cy,5 15,1 1f,0 1,0 2,0 2,0 18,1 k,1 1,1 d,0 2,1 " +
  "22,3 2u,0 17,d 6h,2 1i,e v,0 79,1 a,0 an,0 lf,0 2i,0 a,1 4o,e 1,0 11,3 1z,0 22,4 4,1 33,5 4r,0 h0,8 " +
  "47,0 h8,1 18,1 26,2 1z,1 4d,2 1,2 11,a 8p,1 60,1 3k,6 1,5 4s,6 4b,3 1n,4 1q,1 1s,7 b,0 n0,n 8,j 1,c " +
  "1,b u,1 e,1 hl,3 t,1 u5,d 27,1 v,9 b7,l 1r,3 w,1 l7,3 1,1 34,0 3z,1a 1,i ce,2 4,9 2,b g,0 c,0 2q,0 " +
  "2i,0 mwy,1 7h,2 2r,0 a,0 37,5 ak,3 2e,1 14,2 1,0 1d,1 1b,0 2p,c g,1 3g,3 3i,1 g,1 6x,0 g2a,1 5s,9 " +
  "m,y 1,d 1,0 4,0 1,1 45,2 1,5 1,3 a,1 3,1 q,2 1,0 r,0 1,0 1,6 be,2 ik,0 1c,0 bi,0 kn,0 5j,0 v,0 7k,8 " +
  "12,0 34,6 1u,6 2h,3 x6,6 31,1 1,3 3i,3 1c,1 27,4 3,0 d,0 1,2 2g,5 2z,0 f0,0 6y,m 2x,2 6w,2 2lt,4 " +
  "dtl,1 3p,0 1t,4 8,0 g2i,0 5wn,4",
);

/** Python's str.isdigit. */
export const DIGIT = new CharacterClass(
  "1c,9 3c,1 5,0 146,9 3q,9 5i,9 bg,9 3a,9 3a,9 3a,9 3a,9 3a,9 3a,9 3a,9 3a,9 3a,9 2o,9 3a,9 1y,9 7q,9 " +
  "1y,9 jz,8 vi,9 12,9 8c,9 3k,a 4l,9 6,9 52,9 2e,9 3q,9 6,9 t2,0 3,5 6,9 ra,8 b,8 b,8 2h,0 a,8 1,0 " +
  "hi,8 1,8 1,8 ozx,9 iu,9 12,9 5i,9 m,9 2e,9 ba,9 geu,9 13a,9 13q,3 ks,9 86,8 dl,8 b,9 3k,9 1o,9 40,9 " +
  "7q,9 9i,9 3a,9 ae,9 2u,9 2u,9 bq,9 2u,9 l2,9 6u,9 1y,9 f5i,9 6e,9 lf8,1d 1ts,9 bq,9 192,9 1ie,a " +
  "25h,9",
);

/** Canonical combining classes. */
export const COMBINING = new CharacterClass(
  "lc,k,6e 0,0,6g 0,3,64 0,0,6g 0,0,60 0,4,64 0,1,5m 0,3,64 0,1,5m 0,a,64 0,4 0,3,64 0,7,6e 0,0,6o " +
  "0,0,6e 0,2,64 0,2,6e 0,1,64 1,2,6e 0,3,64 0,0,6e 0,0,6g 0,1,64 0,0,6e 0,0,6h 0,1,6i 0,0,6h 0,1,6i " +
  "0,0,6h 0,c,6e 7n,4,6e 7d,0,64 0,3,6e 0,0,64 0,2,6e 0,0,66 0,0,64 0,5,6e 0,5,64 0,1,6e 0,0,64 0,1,6e " +
  "0,0,66 0,0,6c 0,0,6e 0,0,a 0,0,b 0,0,c 0,0,d 0,0,e 0,0,f 0,0,g 0,0,h 0,0,i 0,1,j 0,0,k 0,0,l 0,0,m " +
  "1,0,n 1,0,o 0,0,p 1,0,6e 0,0,64 1,0,i 20,7,6e 0,0,u 0,0,v 0,0,w 1c,0,r 0,0,s 0,0,t 0,0,u 0,0,v " +
  "0,0,w 0,0,x 0,0,y 0,1,6e 0,1,64 0,4,6e 0,0,64 0,1,6e 0,0,64 g,0,z 2t,6,6e 2,3,6e 0,0,64 0,0,6e " +
  "2,1,6e 1,0,64 0,1,6e 0,0,64 z,0,10 u,0,6e 0,0,64 0,1,6e 0,0,64 0,1,6e 0,2,64 0,0,6e 0,1,64 0,0,6e " +
  "0,0,64 0,2,6e 0,0,64 0,0,6e 0,0,64 0,0,6e 0,0,64 0,0,6e 0,0,64 0,1,6e 4g,6,6e 0,0,64 0,0,6e 9,0,64 " +
  "o,3,6e 1,8,6e 1,2,6e 1,4,6e 17,2,64 3b,0,64 0,d,6e 1,0,64 0,1,6e 0,0,64 0,1,6e 0,0,64 0,2,6e 0,2,64 " +
  "0,0,r 0,0,s 0,0,t 0,2,6e 0,0,64 0,1,6e 0,1,64 0,4,6e 1o,0,7 g,0,9 3,0,6e 0,0,64 0,1,6e 2v,0,7 g,0,9 " +
  "1c,0,6e 1p,0,7 g,0,9 32,0,7 g,0,9 32,0,7 g,0,9 3j,0,9 3j,0,9 7,0,2c 0,0,2j 2t,0,7 g,0,9 31,1,9 " +
  "g,0,9 3g,0,9 31,1,2v 0,0,9 d,3,2z 30,1,3a 0,0,9 d,3,3e 24,1,64 r,0,64 1,0,64 1,0,60 1j,0,3l 0,0,3m " +
  "1,0,3o 5,3,3m 2,0,3m 1,1,6e 0,0,9 1,1,6e 1q,0,64 34,0,7 1,1,9 2a,0,64 jz,2,6e qc,0,9 v,0,9 4d,0,9 " +
  "a,0,6e 5n,0,6c 3z,0,66 0,0,6e 0,0,64 63,0,6e 0,0,64 1z,0,9 k,7,6e 2,0,64 1c,4,6e 0,5,64 0,1,6e " +
  "0,0,64 1,1,64 37,0,7 f,0,9 12,0,6e 0,0,64 0,6,6e 1i,1,9 1m,0,7 b,1,9 1v,0,7 48,2,6e 1,0 0,4,64 " +
  "0,1,6e 0,3,64 0,0,6e 1,6 4,0,64 6,0,6e 3,1,6e 5i,1,6e 0,0,64 0,6,6e 0,0,64 0,1,6e 0,0,6i 0,0,5y " +
  "0,0,64 0,0,5m 0,10,6e 0,0,6g 0,1,6c 0,0,64 1,0,6e 0,0,6h 0,0,64 0,0,6e 0,0,64 k0,1,6e 0,1 0,3,6e " +
  "0,2 0,1,6e 4,0,6e 3,1 0,0,6e 0,0,64 0,0,6e 0,1 0,3,64 0,0,6e 2da,2,6e 3x,0,9 2o,v,6e fe,0,62 0,0,6c " +
  "0,0,6g 0,0,66 0,1,68 2x,1,8 n9w,0,6e 4,9,6e w,1,6e 28,1,6e 7o,0,9 11,0,9 47,0,9 r,h,6e 1l,2,64 " +
  "11,0,9 2n,0,7 c,0,9 6n,0,6e 1,1,6e 0,0,64 2,1,6e 5,1,6e 1,0,6e 1g,0,9 6u,0,9 fn4,0,q ld,6,6e 0,6,64 " +
  "0,1,6e r1,0,64 6a,0,64 45,4,6e 1aq,0,64 1,0,6e 14,0,6e 0,0 0,0,64 4,0,9 4l,0,6e 0,0,64 fx,3,6e " +
  "ar,1,6e 49,1,64 0,2,6e 0,0,64 0,0,6e 0,3,64 6t,0,9 1k,0,9 1l,0,9 0,0,7 1x,2,6e 1c,1,9 1q,0,7 24,0,9 " +
  "9,0,7 2y,0,9 0,0,7 4y,0,7 0,0,9 28,1,7 g,0,9 o,6,6e 3,4,6e 5p,0,9 3,0,7 n,0,6e 2r,0,9 0,0,7 6z,0,9 " +
  "0,0,7 3i,0,9 3a,0,9 0,0,7 37,0,9 7h,0,9 0,0,7 76,1,9 4,0,7 4c,0,9 2b,0,9 i,0,9 29,0,9 bp,0,9 76,0,7 " +
  "1,1,9 29,0,9 fa0,4 1n,6,6e xl,1,6 f58,0 43q,1,60 0,2 3,0,6a 0,4,60 8,7,64 2,4,6e 0,1,64 u,3,6e " +
  "44,2,6e 2pn,6,6e 1,g,6e 2,6,6e 1,1,6e 1,4,6e 79,6,6e c5,3,6e 15s,6,64 31,5,6e 0,0,7",
);
