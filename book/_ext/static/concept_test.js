// The two pages of ten questions (lib/authoring/concept_test.py). Their answers are folded, for any reader; here they
// become choices, and the page counts. Nothing is sent. The first score of the page before the course is kept in this
// browser, for a second one has seen the answers; the page after the course sets its own beside it.
(() => {
  "use strict";
  const KEPT = "masking-the-future: score before the course";

  // A browser may refuse to keep anything. Then `kept` finds nothing, and the page says so.
  function kept() {
    try {
      return JSON.parse(localStorage.getItem(KEPT));
    } catch {
      return null;
    }
  }

  function keep(score) {
    try {
      localStorage.setItem(KEPT, JSON.stringify(score));
    } catch {}
    return kept();
  }

  function element(tag, attributes, ...content) {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...content);
    return made;
  }

  function button(words, action) {
    const made = element("button", { type: "button" }, words);
    made.addEventListener("click", action);
    return made;
  }

  // Puts choices before the folded answers and hides these until they are told.
  function ask(question, index) {
    const number = index + 1;
    const answers = [...question.querySelectorAll("details.answer")];
    const right = answers.find((answer) => answer.matches(".right"));
    const option = (value, ...words) =>
      element("label", {}, element("input", { type: "radio", name: `question-${number}`, value }), element("span", {}, ...words));
    const open = option(-1, "I leave this one open.");
    const choices = element(
      "fieldset",
      { class: "choices" },
      element("legend", {}, `Your answer to question ${number}`),
      ...answers.map((answer, i) => option(i, ...answer.querySelector("summary").cloneNode(true).childNodes)),
      open,
    );
    answers[0].before(choices);

    const mark = (answer, words) => {
      answer.open = true;
      answer.querySelector("summary").prepend(element("strong", { class: "verdict" }, `${words} `));
    };
    const begin = () => {
      answers.forEach((answer) => [answer.hidden, answer.open] = [true, false]);
      question.querySelectorAll(".verdict").forEach((words) => words.remove());
      open.querySelector("input").checked = true;
      choices.hidden = false;
    };
    const tell = () => {
      const chosen = answers[choices.querySelector(":checked").value];
      answers.forEach((answer) => (answer.hidden = false));
      choices.hidden = true;
      if (chosen && chosen !== right) mark(chosen, "Your answer:");
      mark(right, chosen === right ? "Your answer, right:" : "The right answer:");
      return { number, chosen, right };
    };
    begin();
    return { begin, tell };
  }

  // What one wrong or open answer says at the end.
  function advice({ number, chosen, right }) {
    const told = chosen ?? right;
    const belief = chosen?.querySelector(".belief").cloneNode(true);
    const place = told.querySelector(".read-on").cloneNode(true);
    return element("li", {}, `Question ${number}${belief ? ": " : " was left open. "}`, belief ?? "", belief ? " " : "", place);
  }

  const day = (date) => new Date(date).toLocaleDateString("en-GB", { dateStyle: "long" });

  // What the page after the course says about the score before it.
  function compare(told, first) {
    const now = new Map(told.map(({ number, chosen, right }) => [number, chosen === right]));
    const sentence = (belief) => document.querySelector(`[data-belief="${belief}"] .belief`)?.cloneNode(true);
    const given = first.beliefs.filter(([number, belief]) => now.get(number) && sentence(belief));
    const words = element("p", {}, `On ${day(first.date)}, before the course, it was ${first.score} of ${told.length}.`);
    if (!given.length) return [words];
    words.append(" Beliefs behind your answers then, and no longer:");
    return [words, element("ul", {}, ...given.map(([, belief]) => element("li", {}, sentence(belief))))];
  }

  function start() {
    const score = document.querySelector("div.score");
    if (!score) return;
    const before = score.dataset.form === "before";
    const questions = [...document.querySelectorAll("div.question")].map(ask);

    const begin = () => {
      questions.forEach((question) => question.begin());
      score.replaceChildren(button("Show my score", show));
      const first = before && kept();
      if (first) score.prepend(memory(first));
    };

    const memory = (first) => {
      const words = element("p", {}, `Your first score on this page was ${first.score} of ${questions.length}, on ${day(first.date)}. This browser keeps it. `);
      words.append(button("Forget it", () => {
        localStorage.removeItem(KEPT);
        words.replaceWith(element("p", { role: "status" }, "It is forgotten."));
      }));
      return words;
    };

    const remember = (points, missed) => {
      const wrong = missed.filter(({ chosen }) => chosen);
      const beliefs = wrong.map(({ number, chosen }) => [number, chosen.dataset.belief]);
      const first = keep({ date: new Date().toISOString(), score: points, beliefs });
      return first ? memory(first) : element("p", {}, "This browser keeps nothing: write your score down.");
    };

    const show = () => {
      const told = questions.map((question) => question.tell());
      const missed = told.filter(({ chosen, right }) => chosen !== right);
      const points = told.length - missed.length;
      const heading = element("p", { class: "points", tabindex: -1 }, `${points} of ${told.length}`);
      score.replaceChildren(heading);
      if (missed.length) score.append(element("ul", {}, ...missed.map(advice)));
      else score.append(element("p", {}, "None of the beliefs behind the wrong answers is yours."));
      const first = kept();
      if (first) score.append(...(before ? [memory(first)] : compare(told, first)));
      else if (before && told.some(({ chosen }) => chosen)) score.append(remember(points, missed));
      score.append(button("Answer once more", () => {
        begin();
        document.querySelector("div.question input:checked").focus();
      }));
      score.scrollIntoView();
      heading.focus({ preventScroll: true });
    };

    begin();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
