// The only place that makes elements. Everything shown goes in as text, never as HTML: names, keys and labels are whatever
// clients sent.

/** The element of this id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element. Children are elements or texts; null ones are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value != null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Sets a text, touching nothing when it is there already. */
export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a number as people read it and, for programs, as it is. */
export function setData(id, value, text) {
  byId(id).value = value == null ? "" : String(value);
  setText(id, text);
}

const shown = new WeakMap();

/** Fills an element from what `build` makes of `data`, unless it shows that already. The focus stays where it was. */
export function fill(element, data, build) {
  const now = JSON.stringify(data);
  if (shown.get(element) === now) return;
  shown.set(element, now);
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...build(data).filter((child) => child != null));
  if (focused !== undefined) {
    [...element.querySelectorAll("[data-key]")].find((found) => found.dataset.key === focused)?.focus();
  }
}

/** The head of a table; each column is a title, or [title, class]. */
export function head(caption, columns) {
  const cells = columns.map((column) => {
    const [title, kind] = [column].flat();
    return make("th", { scope: "col", class: kind }, title);
  });
  return [make("caption", { class: "hidden" }, caption), make("thead", {}, make("tr", {}, cells))];
}

/** A row that says why there are none. */
export function none(columns, text) {
  return make("tr", {}, make("td", { class: "none", colspan: columns }, text));
}
