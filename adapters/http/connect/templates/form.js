"use strict";
const form = document.forms[0];
const button = form.querySelector("button[type=submit]");
const dependent = [...form.querySelectorAll("[data-when]")];
const show = () => {
  for (const field of dependent) {
    const by = form.elements[field.dataset.when];
    field.hidden = by !== undefined && (by.disabled || by.value !== field.dataset.is);
    for (const one of field.querySelectorAll("input, select, textarea")) one.disabled = field.hidden;
  }
};
for (const words of form.querySelectorAll(".when")) words.hidden = true;
for (const reveal of form.querySelectorAll(".secret button")) {
  const input = reveal.previousElementSibling;
  reveal.hidden = false;
  reveal.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    reveal.textContent = shown ? "Hide" : "Show";
    reveal.setAttribute("aria-pressed", String(shown));
  });
}
form.addEventListener("input", show);
form.addEventListener("submit", (event) => {
  if (button.getAttribute("aria-disabled")) event.preventDefault();
  button.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  button.removeAttribute("aria-disabled");
  show();
});
show();
