"use strict";
// What is chosen stands behind the # of the address, so that a link shows the same: q, area, show, changed, open.
(() => {
    const find = (id) => document.getElementById(id);
    const requirements = [...document.querySelectorAll(".requirement")];
    const cells = new Map([...document.querySelectorAll(".cell")].map((cell) => [cell.dataset.for, cell]));
    const [form, search, area, changed] = [find("filters"), find("search"), find("area"), find("changed")];
    const choices = [...form.querySelectorAll("[name=show]")];
    document.body.classList.add("scripted");
    form.hidden = false;

    const isBad = (requirement) => requirement.querySelector("details.failure") !== null;
    const open = () => requirements.filter((requirement) => requirement.open).map((requirement) => requirement.id);

    function filter() {
        const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        const chosen = choices.filter((choice) => choice.checked).map((choice) => choice.value);
        let count = 0;
        for (const requirement of requirements) {
            const outcomes = requirement.dataset.outcomes.split(" ");
            const shown = words.every((word) => requirement.dataset.search.includes(word))
                && (!area.value || requirement.parentElement.dataset.area === area.value)
                && (!chosen.length || chosen.some((outcome) => outcomes.includes(outcome)))
                && (!changed?.checked || "changed" in requirement.dataset);
            requirement.hidden = !shown;
            cells.get(requirement.id)?.classList.toggle("out", !shown);
            count += shown;
        }
        for (const section of document.querySelectorAll("section.area")) {
            section.hidden = !section.querySelector(".requirement:not([hidden])");
        }
        find("status").value = `${count} of ${requirements.length} requirements`;
        find("nothing").hidden = count > 0;
    }

    function save() {
        const state = new URLSearchParams();
        const chosen = choices.filter((choice) => choice.checked).map((choice) => choice.value);
        if (search.value) state.set("q", search.value);
        if (area.value) state.set("area", area.value);
        if (chosen.length) state.set("show", chosen.join(","));
        if (changed?.checked) state.set("changed", "1");
        if (open().length) state.set("open", open().join(","));
        history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
    }

    // A requirement that is opened shows its first failure at once, or that of the case that is asked for.
    function unfold(requirement, place = requirement) {
        requirement.open = true;
        const failure = place.querySelector("details.failure");
        if (failure && !place.querySelector("details.failure[open]")) failure.open = true;
    }

    function show(requirement, place = requirement) {
        if (requirement.hidden) {
            form.reset();
            filter();
        }
        unfold(requirement, place);
        place.scrollIntoView({ block: "start" });
        requirement.querySelector("summary").focus({ preventScroll: true });
        save();
    }

    function restore() {
        const hash = decodeURIComponent(location.hash.slice(1));
        if (hash && !hash.includes("=")) {
            const target = find(hash);
            const requirement = target?.closest(".requirement");
            if (requirement) show(requirement, target);
            else target?.scrollIntoView();
            return;
        }
        const state = new URLSearchParams(location.hash.slice(1));
        search.value = state.get("q") ?? "";
        area.value = state.get("area") ?? "";
        const chosen = (state.get("show") ?? "").split(",");
        for (const choice of choices) choice.checked = chosen.includes(choice.value);
        if (changed) changed.checked = state.has("changed");
        const opened = (state.get("open") ?? "").split(",");
        for (const requirement of requirements) {
            if (opened.includes(requirement.id)) unfold(requirement);
            else requirement.open = false;
        }
        filter();
        if (opened[0]) find(opened[0])?.scrollIntoView({ block: "start" });
    }

    function step(by) {
        const shown = requirements.filter((requirement) => !requirement.hidden && isBad(requirement));
        if (!shown.length) return;
        const here = shown.findIndex((requirement) => requirement.contains(document.activeElement));
        const next = here < 0 ? (by > 0 ? 0 : shown.length - 1) : (here + by + shown.length) % shown.length;
        if (here >= 0) shown[here].open = false;
        show(shown[next]);
    }

    // The bytes of the field that is pointed at or has the focus, and the field of those bytes.
    function light(event) {
        for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
        const field = event.target.closest?.("[data-field]");
        if (!field) return;
        const around = field.closest("details");
        for (const same of around.querySelectorAll(`[data-field="${field.dataset.field}"]`)) same.classList.add("lit");
    }
    document.addEventListener("mouseover", light);
    document.addEventListener("focusin", light);

    const change = () => { filter(); save(); };
    form.addEventListener("input", change);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(change));
    find("show-all").addEventListener("click", () => form.reset());
    find("all-causes")?.removeAttribute("hidden");
    find("all-causes")?.addEventListener("click", (event) => {
        document.querySelector(".causes").classList.add("all");
        event.target.hidden = true;
    });
    for (const requirement of requirements) {
        requirement.querySelector("summary").addEventListener("click", () => setTimeout(() => {
            if (requirement.open) unfold(requirement);
            save();
        }));
    }
    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const typing = event.target.matches("input[type=search], select");
        if (event.key === "Escape") {
            const around = document.activeElement.closest(".requirement");
            if (around) {
                around.open = false;
                around.querySelector("summary").focus();
                save();
            } else document.activeElement.blur();
        } else if (typing) return;
        else if (event.key === "/") {
            event.preventDefault();
            search.focus();
        } else if (event.key === "n") step(1);
        else if (event.key === "p") step(-1);
    });
    // What failed is printed open.
    addEventListener("beforeprint", () => requirements.filter((one) => !one.hidden && isBad(one)).forEach(unfold));
    addEventListener("hashchange", restore);
    restore();
})();
