// Moves the sliders of a published page. Every state was drawn when the book was built (lib/explore/page.py),
// so moving a slider only swaps one picture for another: no kernel, no server, nothing to fetch but pictures.
(() => {
  "use strict";
  const folder = new URL("explore/", document.currentScript.src);

  function enliven(figure) {
    const { labels, states } = JSON.parse(figure.querySelector("script").textContent);
    const image = figure.querySelector("img");
    const sliders = [...figure.querySelectorAll("input")];
    const outputs = figure.querySelectorAll("output");

    const move = () => {
      sliders.forEach((slider, i) => {
        outputs[i].value = labels[i][slider.value];
        slider.setAttribute("aria-valuetext", outputs[i].value);
      });
      // The states are listed with the last control moving fastest.
      const state = sliders.reduce((index, slider, i) => index * labels[i].length + slider.valueAsNumber, 0);
      const [file, alt] = states[state];
      image.src = new URL(file, folder);
      image.alt = alt;
      figure.querySelector(".explore-read-out").textContent = alt;
    };
    const preload = () => states.forEach(([file]) => (new Image().src = new URL(file, folder)));

    const controls = figure.querySelector(".explore-controls");
    controls.addEventListener("input", move);
    controls.addEventListener("pointerdown", preload, { once: true });
    controls.addEventListener("focusin", preload, { once: true });
    controls.hidden = false;
  }

  const start = () => document.querySelectorAll("figure.explore").forEach(enliven);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
