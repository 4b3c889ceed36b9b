// Two ways to use a page: with the pointer, and with the keyboard alone. A flow is written once and done by both.

/** More stops than any page has: what is not reached within them is not reachable. */
const STOPS_MAX = 120;

export const pointer = {
  name: "pointer",
  press: (page, target) => target.click(),
  choose: (page, target) => target.check(),
  toggle: (page, target) => target.click(),
  write: (page, target, text) => target.fill(text),
};

export const keyboard = {
  name: "keyboard",
  async press(page, target) {
    await reach(page, target);
    await page.keyboard.press("Enter");
  },
  /** A group of radios is one stop; the arrows move within it. */
  async choose(page, target) {
    const name = await target.getAttribute("name");
    await reach(page, page.locator(`input[name="${name}"]:checked`));
    for (let moves = 0; !(await target.isChecked()); moves += 1) {
      if (moves > STOPS_MAX) throw new Error(`no arrow leads to ${target}`);
      await page.keyboard.press("ArrowDown");
    }
  },
  async toggle(page, target) {
    await reach(page, target);
    await page.keyboard.press("Space");
  },
  async write(page, target, text) {
    await reach(page, target);
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type(text);
  },
};

/** A page's entry in the navigation. */
export const nav = (page, name) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name });

/** Tabs until the target has the focus, and checks that one sees where it is. */
async function reach(page, target) {
  await target.waitFor();
  for (let stops = 0; stops <= STOPS_MAX; stops += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) {
      const outlined = await target.evaluate((element) => getComputedStyle(element).outlineStyle !== "none");
      if (!outlined) throw new Error(`${target} does not show that it has the focus`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`the keyboard does not reach ${target}`);
}
