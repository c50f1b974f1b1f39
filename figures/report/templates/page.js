"use strict";
const one = (name) => document.getElementById(name);

const cards = [...document.querySelectorAll(".claim")];
function filter() {
  const word = one("word").value.toLowerCase();
  let shown = 0;
  for (const card of cards) {
    card.hidden = !((one("status").value === "all" || card.dataset.status === one("status").value)
      && (one("source").value === "all" || card.dataset.source === one("source").value)
      && card.textContent.toLowerCase().includes(word));
    shown += !card.hidden;
  }
  one("shown").textContent = `${shown} of ${cards.length} shown`;
}
if (cards.length) {
  for (const name of ["status", "source", "word"]) one(name).addEventListener("input", filter);
  filter();
}

if (one("frames")) {
  const frames = JSON.parse(one("frames").textContent);
  const across = (eps) => 50 + 800 * eps;
  const up = (ratio) => 270 - 250 * ratio;
  const move = () => {
    const i = Number(one("sigma").value), j = Number(one("eps").value);
    for (const key of Object.keys(frames.ratio)) {
      one(`curve-${key}`).setAttribute("points",
        frames.eps.map((eps, n) => `${across(eps)},${up(frames.ratio[key][i][n])}`).join(" "));
      one(`ratio-${key}`).textContent = frames.ratio[key][i][j].toFixed(3);
      one(`accuracy-${key}`).textContent = frames.accuracy[key][i][j].toFixed(3);
    }
    for (const [name, x] of [["here", across(frames.eps[j])], ["threshold", across(frames.eps0[i])]]) {
      one(name).setAttribute("x1", x);
      one(name).setAttribute("x2", x);
    }
    one("sigma-value").textContent = frames.sigma[i];
    one("eps-value").textContent = frames.eps[j];
    one("side").textContent = `${frames.eps[j] < frames.eps0[i] ? "below" : "not below"} the threshold ${frames.eps0[i]}`;
  };
  for (const name of ["sigma", "eps"]) one(name).addEventListener("input", move);
  move();
}
