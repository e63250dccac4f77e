// Numbers as people read them.

const scaled = (number, unit) => {
  const digits = number < 10 ? 2 : number < 100 ? 1 : 0;
  return `${number.toFixed(digits)} ${unit}`;
};

export const count = (number) => Math.round(number).toLocaleString("en-US");

/** A rate: 0, 0.25, 7.5, 120, 1,234, 1.23 M. */
export function rate(number) {
  if (number >= 1e6) return scaled(number / 1e6, "M");
  if (number >= 100 || Number.isInteger(number)) return count(number);
  return number.toPrecision(2).replace(/\.?0+$/, "");
}

export function duration(ns) {
  if (ns === null) return "–";
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return scaled(ns / 1e3, "µs");
  if (ns < 1e9) return scaled(ns / 1e6, "ms");
  return scaled(ns / 1e9, "s");
}

/** An age of any size, down to µs. */
export function age(us) {
  const seconds = us / 1e6;
  if (us <= 0) return "–";
  if (seconds < 1) return duration(us * 1e3);
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export const percent = (fraction) =>
  fraction === 0 ? "0 %" : fraction < 0.01 ? "< 1 %" : `${Math.round(fraction * 100)} %`;
