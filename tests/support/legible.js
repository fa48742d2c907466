// What of the page cannot be read: texts of too little contrast (WCAG 2.2, 1.4.3: 4.5 to 1), and whatever makes it wider than
// the screen. Returns a list of complaints.
(() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return text.startsWith("color(srgb") ? { rgb: [r * 255, g * 255, b * 255], a } : { rgb: [r, g, b], a };
  };
  const over = (top, below) => top.rgb.map((value, i) => value * top.a + below[i] * (1 - top.a));
  const background = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.a === 1 ? own.rgb : over(own, background(element.parentElement));
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const complaints = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    texts += 1;
    const behind = background(element);
    const ratio = contrast(over(parse(getComputedStyle(element).color), behind), behind);
    if (ratio < 4.5) complaints.push(`${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  if (texts < 50) complaints.push(`only ${texts} texts`);
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest(".scroll, pre"));
    complaints.push(`wider than ${width}: ${wide.slice(0, 5).map((e) => e.tagName + "#" + e.id + "." + e.className).join(" ")}`);
  }
  for (const figure of document.querySelectorAll(".plot")) {
    const canvas = figure.querySelector("canvas");
    if (!canvas || !figure.getAttribute("aria-label")) complaints.push(`${figure.parentElement.id} has no chart or no words for it`);
  }
  return complaints;
})()
