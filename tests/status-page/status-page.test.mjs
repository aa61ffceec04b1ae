// The status page in a real browser.
//
//     MTE_RELAY_ADMIN=http://127.0.0.1:9090/ npm test    against a relay that has traffic for the tenant `shop.test`, and a
//                                                        tenant `broken.test` whose only upstream refuses connections
//     npm test                                           against mock.mjs
//
// SCREENSHOTS=<directory> saves screenshots of both themes at both widths. CHROMIUM_BIN selects another browser than Debian's.

import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { startMock, scenes } from "./mock.mjs";

const WIDE = { width: 1440, height: 900 }, PHONE = { width: 390, height: 844 };
const shots = process.env.SCREENSHOTS;

let browser, mock, base;

before(async () => {
  if (!process.env.MTE_RELAY_ADMIN) mock = await startMock();
  base = new URL("/", process.env.MTE_RELAY_ADMIN ?? mock.url).href;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  if (shots) await mkdir(shots, { recursive: true });
});

after(async () => {
  await browser?.close();
  await mock?.stop();
});

/**
 * Opens the page, runs `body` on it, and then checks what must always be true: no request went to another origin,
 * nothing violated the CSP, nothing was logged as an error. `change` edits each status.json before it reaches the page;
 * `loose` is for a body that disconnects the network, which the browser logs.
 */
async function withPage({ viewport = WIDE, path = "", change, loose = false, ...options }, body) {
  const context = await browser.newContext({ viewport, ...options });
  try {
    const problems = [];
    context.on("request", request => {
      if (new URL(request.url()).protocol !== "data:" && !request.url().startsWith(base)) problems.push(`request to ${request.url()}`);
    });
    await context.exposeFunction("reportViolation", text => { problems.push(text); });
    await context.addInitScript(() => addEventListener("securitypolicyviolation",
      event => reportViolation(`CSP: ${event.violatedDirective} ${event.blockedURI}`)));
    const page = await context.newPage();
    page.on("console", message => { if (message.type() === "error") problems.push(`console: ${message.text()}`); });
    page.on("pageerror", error => problems.push(`exception: ${error.message}`));
    page.on("dialog", dialog => { problems.push("a dialog opened"); dialog.dismiss(); });
    if (change) await page.route("**/status.json", async route => {
      const response = await route.fetch();
      const status = await response.json();
      await route.fulfill({ response, json: change(status) ?? status });
    });
    await page.goto(base + path);
    await page.locator("#version", { hasText: /\d/ }).waitFor();
    await body(page);
    await page.unrouteAll({ behavior: "ignoreErrors" });
    if (!loose) assert.deepEqual(problems, []);
  } finally {
    await context.close();
  }
}

const row = (page, tenant) => page.locator("tbody tr").filter({ has: page.getByRole("link", { name: tenant, exact: true }) });

/** How much wider the content is than the window. */
const overflow = page => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

async function eventually(what, check, within = 15_000) {
  const deadline = Date.now() + within;
  while (!await check()) {
    if (Date.now() > deadline) assert.fail(`not within ${within / 1000} s: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 200));
  }
}

describe("the status page", { timeout: 180_000 }, () => {
  test("is served with a CSP that allows nothing from other origins, and without errors", async () => {
    const response = await fetch(base);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /^text\/html/);
    assert.match(response.headers.get("content-security-policy"), /default-src 'none'/);
    await withPage({}, async page => {
      await page.waitForTimeout(4500);    // two more samples
      assert.match(await page.title(), /^(Ready|Not ready|Draining).* · MTE Relay$/);
    });
  });

  test("lists the tenants, and says that an upstream is unhealthy", () => withPage({}, async page => {
    await row(page, "shop.test").waitFor();
    await eventually("broken.test is unhealthy", async () => /\d unhealthy/.test(await row(page, "broken.test").innerText()));
    await page.locator("#in-trouble", { hasText: /broken\.test: no healthy upstream/ }).waitFor();
  }));

  test("moves its numbers from one sample to the next", () => withPage({}, async page => {
    const figures = async () => (await page.locator("#relay .legend b").allInnerTexts()).join() + await row(page, "shop.test").innerText();
    await eventually("shop.test has traffic", async () => /[1-9][\d,.]*\sreq\/s/.test(await row(page, "shop.test").innerText()));
    const first = await figures();
    await eventually("other figures", async () => await figures() !== first);
  }));

  test("draws something in every plot", () => withPage({}, async page => {
    await page.waitForTimeout(500);
    const painted = await page.locator("#relay canvas").evaluateAll(all => all.map(canvas =>
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0)));
    assert.deepEqual(painted, Array(8).fill(true));
  }));

  test("opens a tenant by keyboard, and returns to the previous position", () => withPage({}, async page => {
    const link = row(page, "broken.test").getByRole("link");
    await link.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "broken.test" }).waitFor();
    await eventually("the upstream's state is there", async () => /unhealthy/.test(await page.locator(".upstreams").innerText()));
    assert.equal(await page.locator("#relay").isVisible(), false);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "broken.test");
    await page.keyboard.press("Escape");
    await page.locator("#relay").waitFor();
    assert.equal(await link.evaluate(node => node === document.activeElement), true);
  }));

  test("opens a tenant by a click anywhere in its row, and by its address", () => withPage({ path: "#tenant/broken.test" }, async page => {
    await page.getByRole("heading", { name: "broken.test" }).waitFor();
    await row(page, "shop.test").locator("td").last().click();
    await page.getByRole("heading", { name: "shop.test" }).waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: "broken.test" }).waitFor();
  }));

  test("keeps focus, selection and rows while new data arrives", () => withPage({}, async page => {
    const link = row(page, "shop.test").getByRole("link");
    await link.focus();
    await link.evaluate(node => {
      window.firstRow = node.closest("tr");
      getSelection().selectAllChildren(node);
    });
    await page.waitForTimeout(4500);
    assert.equal(await link.evaluate(node => node === document.activeElement && node.closest("tr") === window.firstRow), true);
    assert.equal(await page.evaluate(() => String(getSelection())), "shop.test");
  }));

  test("sorts by a column, either way, and says so", () => withPage({}, async page => {
    const head = page.getByRole("columnheader", { name: "Tenant" }), names = page.locator("tbody a");
    await head.getByRole("button").click();
    await page.locator("th[aria-sort=ascending]", { hasText: "Tenant" }).waitFor();
    const up = await names.allInnerTexts();
    assert.deepEqual(up, [...up].sort());
    await head.getByRole("button").click();
    await page.locator("th[aria-sort=descending]", { hasText: "Tenant" }).waitFor();
    assert.deepEqual(await names.allInnerTexts(), up.reverse());
  }));

  test("shows the values of one time on all plots, by mouse and by arrow keys", () => withPage({}, async page => {
    const when = page.locator("#relay .when"), canvas = page.locator("#relay canvas").first();
    await canvas.hover({ position: { x: 100, y: 40 } });
    await eventually("the time is named", async () => /^at \d\d:\d\d:\d\d/.test(await when.innerText()));
    assert.match(await page.locator("#tenants .when").innerText(), /^at /);
    await page.mouse.move(5, 5);
    await eventually("back to the present", async () => /^(last|the first)/.test(await when.innerText()));
    await page.locator("#relay .plots").focus();
    await page.keyboard.press("ArrowLeft");
    await eventually("the time is named", async () => /^at /.test(await when.innerText()));
  }));

  test("follows the system's theme, and the switch, which it remembers", () => withPage({ colorScheme: "dark" }, async page => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const button = page.getByRole("button", { name: /^Theme/ });
    const dark = await background();
    await button.click();
    assert.match(await button.innerText(), /light/);
    const light = await background();
    assert.notEqual(light, dark);
    await page.reload();
    assert.equal(await background(), light);
    await page.emulateMedia({ colorScheme: "light" });
    await button.click();
    assert.equal(await background(), dark);
  }));

  test("works if the browser refuses to store anything", () => withPage({}, async page => {
    await page.addInitScript(() => Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } }));
    await page.reload();
    await row(page, "shop.test").waitFor();
    await page.getByRole("button", { name: /^Theme/ }).click();
  }));

  test("reports a relay that goes away, and recovers by itself", () => withPage({ loose: true }, async page => {
    await page.route("**/status.json", route => route.abort());
    await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor({ timeout: 15_000 });
    assert.match(await page.locator("#lost").innerText(), /Last data \d+ s ago/);
    assert.match(await page.title(), /^Unreachable/);
    assert.equal(await row(page, "shop.test").isVisible(), true);
    if (shots) await page.screenshot({ path: join(shots, "unreachable.png") });
    await page.unroute("**/status.json");
    await page.locator("#lost").waitFor({ state: "hidden" });
    assert.doesNotMatch(await page.title(), /^Unreachable/);
  }));

  test("survives an answer that is not JSON, and one that is an error", () => withPage({ loose: true }, async page => {
    await page.route("**/status.json", route => route.fulfill({ body: "<html>" }));
    await page.locator("#lost").waitFor({ timeout: 15_000 });
    await page.unroute("**/status.json");
    await page.locator("#lost").waitFor({ state: "hidden" });
    await page.route("**/status.json", route => route.fulfill({ status: 503, body: "" }));
    await page.getByRole("alert").filter({ hasText: "it responded with 503" }).waitFor({ timeout: 15_000 });
  }));

  test("shows why the relay is not ready, and a reload's error in full", () => {
    const error = "domain_map.x.upstream: is missing\n" + "give it a URL. ".repeat(30) + "The end.";
    const change = status => {
      Object.assign(status.relay, { ready: false, draining: false, not_ready_because: ["tenant x: no healthy upstream"] });
      status.reload = { at: status.samples.at.at(-1) - 60, ok: false, error, succeeded: 3, failed: 1 };
    };
    return withPage({ change }, async page => {
      assert.match(await page.title(), /^Not ready/);
      assert.equal(await page.locator("#state").innerText(), "Not ready");
      assert.equal(await page.locator("#reasons").innerText(), "tenant x: no healthy upstream");
      assert.equal(await page.locator("#reload-failed pre").textContent(), error);
      assert.match(await page.locator("#reload").innerText(), /failed 1 min/);
    });
  });

  test("treats operator input as text, never as HTML", () => {
    const hostile = `<img src=x onerror=alert(1)>"'&<script>alert(2)</script>.test`;
    const change = status => {
      status.relay.not_ready_because = [hostile];
      status.reload = { at: status.samples.at.at(-1), ok: false, error: hostile, succeeded: 0, failed: 1 };
      status.tenants[0].name = hostile;
      status.tenants[0].upstream = [{ url: hostile, state: "unhealthy", in_flight: 0, why: hostile }];
    };
    return withPage({ change }, async page => {
      await row(page, hostile).getByRole("link").click();
      await page.getByRole("heading", { name: hostile }).waitFor();
      await page.locator(".upstreams", { hasText: hostile }).waitFor();
      assert.equal(await page.locator("img, body script:not(:last-of-type)").count(), 0);
    });
  });

  test("filters when there are many tenants, and says how many are left out", () => {
    const change = status => {
      const [one] = status.tenants;
      status.tenants = Array.from({ length: 50 }, (_, i) => ({ ...one, name: `tenant-${i}.test` }));
      status.tenants_left_out = 7;
    };
    return withPage({ change }, async page => {
      assert.equal(await page.locator("tbody tr:visible").count(), 50);
      assert.match(await page.locator("#shown").innerText(), /7 more/);
      await page.getByRole("searchbox").fill("tenant-42");
      await eventually("one row is left", async () => await page.locator("tbody tr:visible").count() === 1);
      await page.keyboard.press("Escape");
      await eventually("all rows are back", async () => await page.locator("tbody tr:visible").count() === 50);
    });
  });

  test("has no horizontal scroll on a phone, whatever the names", () => {
    const long = "a-very-long-tenant-name.".repeat(8) + "x".repeat(60);
    const change = status => {
      status.tenants[0].name = long;
      status.tenants[0].upstream[0] = { url: `https://${long}:8443/`, state: "unhealthy", in_flight: 0, why: "y".repeat(300) };
      status.relay.not_ready_because = ["z".repeat(300)];
    };
    return withPage({ viewport: PHONE, change }, async page => {
      assert.ok(await overflow(page) <= 0);
      await row(page, long).getByRole("link").click();
      await page.locator("#detail").waitFor();
      assert.ok(await overflow(page) <= 0);
    });
  });

  test("has a proper empty state before the first request", () => {
    const change = status => {
      const shorten = object => {
        for (const [key, value] of Object.entries(object)) if (Array.isArray(value) && key !== "upstream") object[key] = [/_ms$/.test(key) ? null : 0];
      };
      [status.total, status.process, ...status.tenants].forEach(shorten);
      status.samples.at = status.samples.at.slice(-1);
    };
    return withPage({ change }, async page => {
      assert.match(await page.locator("#relay .when").innerText(), /^the first 2 s/);
      assert.match(await page.locator("#relay .plot", { hasText: "Latency" }).innerText(), /p99\s*–/);
      assert.doesNotMatch(await page.locator("body").innerText(), /NaN|undefined|null|Infinity/);
    });
  });

  test("fits both widths in both themes", async () => {
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [WIDE, PHONE]) {
        await withPage({ viewport, colorScheme }, async page => {
          await page.waitForTimeout(500);
          assert.ok(await overflow(page) <= 0, `${colorScheme}, ${viewport.width} px`);
          if (shots) await page.screenshot({ path: join(shots, `${colorScheme}-${viewport.width}.png`), fullPage: true });
          await row(page, "shop.test").getByRole("link").click();
          await page.waitForTimeout(300);
          assert.ok(await overflow(page) <= 0, `${colorScheme}, ${viewport.width} px, one tenant`);
          if (shots) await page.screenshot({ path: join(shots, `${colorScheme}-${viewport.width}-tenant.png`), fullPage: true });
        });
      }
    }
  });

  // A real relay has only one scene.
  if (!process.env.MTE_RELAY_ADMIN) test("draws each scene of the mock", async () => {
    for (const scene of scenes) {
      for (const viewport of [WIDE, PHONE]) {
        await withPage({ viewport, path: scene && scene + "/" }, async page => {
          await page.waitForTimeout(300);
          assert.ok(await overflow(page) <= 0, `${scene}, ${viewport.width} px`);
          assert.doesNotMatch(await page.locator("body").innerText(), /NaN|undefined|Infinity/, scene);
          if (shots) await page.screenshot({ path: join(shots, `scene-${scene || "usual"}-${viewport.width}.png`), fullPage: true });
        });
      }
    }
  });
});
