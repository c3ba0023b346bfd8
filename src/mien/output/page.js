// Says what leads at the time that is pointed at.  The page is whole without it.
"use strict";
for (const bands of document.querySelectorAll(".bands")) {
  const [start, end] = bands.dataset.segment.split(" ").map(Number);
  const hair = document.createElement("div");
  const read = document.createElement("div");
  hair.className = "hair";
  read.className = "read";
  const hide = () => { hair.remove(); read.remove(); };
  const clock = (seconds) => {
    const digits = end < 180 ? 1 : 0;
    const units = Math.round(seconds * 10 ** digits);
    const whole = Math.floor(units / (60 * 10 ** digits));
    const rest = ((units % (60 * 10 ** digits)) / 10 ** digits).toFixed(digits).padStart(digits ? 4 : 2, "0");
    return end < 3600 ? `${whole}:${rest}` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}:${rest}`;
  };
  bands.addEventListener("pointermove", (event) => {
    const band = event.target.closest(".band");
    if (!band) { hide(); return; }
    const box = band.getBoundingClientRect();
    const whole = bands.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const led = band.dataset.led;
    const letter = led[Math.min(Math.floor(share * led.length), led.length - 1)];
    const name = letter === "-" ? band.dataset.away : JSON.parse(band.dataset.names)[letter.charCodeAt(0) - 97];
    read.textContent = `${clock(start + share * (end - start))} ${name}`;
    bands.append(hair, read);
    const x = event.clientX - whole.left;
    hair.style.left = `${x}px`;
    read.style.top = `${Math.max(box.top - whole.top - 14, 0)}px`;
    read.style.left = `${Math.min(x + 8, whole.width - read.offsetWidth)}px`;
  });
  bands.addEventListener("pointerleave", hide);
}
