"use strict";
document.documentElement.classList.add("js");
for (const box of document.querySelectorAll(".case")) {
  const range = box.querySelector("input[type=range]");
  if (!range) continue;
  const layers = [...box.querySelectorAll(".layers figure")];
  const buttons = [...box.querySelectorAll(".slider button")];
  const show = (value) => {
    range.value = value;
    const at = Number(range.value), below = Math.floor(at), rest = at - below;
    layers.forEach((layer, n) => {
      layer.style.opacity = n === below ? 1 : n === below + 1 ? rest : 0;
      layer.ariaHidden = String(n !== Math.round(at));
      buttons[n].ariaPressed = String(n === at);
    });
    const name = (n) => layers[n].dataset.name;
    range.setAttribute("aria-valuetext", rest ? `${name(below)} under ${name(below + 1)}` : name(below));
  };
  range.addEventListener("input", () => show(range.value));
  range.addEventListener("keydown", (event) => { // the mouse blends finely, a key moves by a quarter
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 4, PageDown: -4 }[event.key];
    if (!by) return;
    event.preventDefault();
    show(Math.round(Number(range.value) * 4 + by) / 4);
  });
  buttons.forEach((button, n) => button.addEventListener("click", () => show(n)));
  show(range.defaultValue);
}
const size = new ResizeObserver((changed) => { // what does not scroll is no stop on the way through the page
  for (const { target } of changed) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
});
for (const box of document.querySelectorAll(".scroll")) size.observe(box);
